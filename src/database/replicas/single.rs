//! One server of several that an address names, as an address of its own.
//!
//! **Invariant:** a certificate is verified for the name that the address had, and nobody but this one server is asked.

use tokio_postgres::Config as Driver;

use super::super::config::Config;
use super::super::dial::{self, Address, Candidate};
use super::super::standing::Standing;

/// The same database on that server alone, whatever kind of server it is.
pub(super) fn only(config: &Config, address: &Address) -> Config {
    let mut driver = Driver::new();
    match address {
        Address::Tcp(at, name) => {
            if let Some(name) = name {
                driver.host(name.as_ref());
            }
            driver.hostaddr(at.ip()).port(at.port());
        }
        Address::Unix(path) => {
            // The port is the end of the socket's name (`.s.PGSQL.5432`).
            let port = path.extension().and_then(|port| port.to_str()?.parse().ok()).unwrap_or(5432);
            driver.host_path(path.parent().unwrap_or(path)).port(port);
        }
    }
    fill(config, driver)
}

/// Every host that an address names as an address of its own, with what it is called; names are not looked up.
///
/// # Errors
/// What is wrong with the hosts, in one line.
pub(crate) fn each(config: &Config) -> Result<Vec<(String, Config)>, String> {
    let candidates = dial::candidates(config).map_err(|error| error.to_string())?;
    let single = |candidate| match candidate {
        Candidate::At(address) => (name(&address, true), only(config, &address)),
        Candidate::Named(host, port) => {
            let mut driver = Driver::new();
            driver.host(&host).port(port);
            (format!("{host}:{port}"), fill(config, driver))
        }
    };
    Ok(candidates.into_iter().map(single).collect())
}

/// The rest of the configuration.
fn fill(config: &Config, mut driver: Driver) -> Config {
    if let Some(user) = config.get_user() {
        driver.user(user);
    }
    if let Some(password) = config.get_password() {
        driver.password(password);
    }
    if let Some(dbname) = config.get_dbname() {
        driver.dbname(dbname);
    }
    if let Some(options) = config.get_options() {
        driver.options(options);
    }
    if let Some(name) = config.get_application_name() {
        driver.application_name(name);
    }
    if let Some(time) = config.get_connect_timeout() {
        driver.connect_timeout(*time);
    }
    if let Some(time) = config.get_tcp_user_timeout() {
        driver.tcp_user_timeout(*time);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        driver.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        driver.keepalives_retries(retries);
    }
    driver.keepalives(config.get_keepalives()).keepalives_idle(config.get_keepalives_idle());
    driver.channel_binding(config.get_channel_binding());
    config.with_driver(driver).with_standing(Standing::Any)
}

/// What a server is called: by its name where that leads to one address, else by its address.
pub(super) fn name(address: &Address, is_alone: bool) -> String {
    match address {
        Address::Tcp(at, Some(name)) if is_alone && name.parse::<std::net::IpAddr>().is_err() => {
            format!("{name}:{}", at.port())
        }
        address => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_keeps_everything_but_the_others() {
        let text = "host=db1,db2 port=1,2 user=me password=secret dbname=rows options='-c a=b' application_name=x \
                    connect_timeout=7 load_balance_hosts=random target_session_attrs=standby sslmode=require";
        let config: Config = text.parse().unwrap();
        let address = Address::Tcp("192.0.2.2:2".parse().unwrap(), Some("db2".into()));
        let single = only(&config, &address);
        let expected = "host=db2 hostaddr=192.0.2.2 port=2 user=me password=secret dbname=rows options='-c a=b' \
                        application_name=x connect_timeout=7 sslmode=require";
        let expected: Config = expected.parse().unwrap();
        assert_eq!(*single, *expected);
        assert_eq!((single.standing(), single.tls().is_some()), (Standing::Any, true));
    }

    #[test]
    fn a_server_has_its_name_where_that_is_its_alone() {
        let named = Address::Tcp("192.0.2.2:5432".parse().unwrap(), Some("db2".into()));
        assert_eq!((name(&named, true), name(&named, false)), ("db2:5432".into(), "192.0.2.2:5432".into()));
        let literal = Address::Tcp("192.0.2.2:5432".parse().unwrap(), Some("192.0.2.2".into()));
        assert_eq!(name(&literal, true), "192.0.2.2:5432");
        assert_eq!(name(&Address::Unix("/run/.s.PGSQL.5433".into()), true), "/run/.s.PGSQL.5433");
    }

    #[test]
    fn a_unix_socket_is_found_again() {
        let config: Config = "host=/run/pg port=5433 user=me".parse().unwrap();
        let single = only(&config, &Address::Unix("/run/pg/.s.PGSQL.5433".into()));
        assert_eq!(*single, *config);
    }
}
