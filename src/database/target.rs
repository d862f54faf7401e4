//! From settings to the driver's configuration.
//!
//! **Invariant:** what the URL says is never overruled; variables only fill what it leaves open.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::config::SettingsError;
use crate::config::database::Target;

/// How long one attempt to reach one host may take, where the URL does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where libpq looks for a server when nobody names one, and where Debian's has its socket.
const USUAL_SOCKET_DIRECTORY: &str = "/var/run/postgresql";

/// Builds the driver's configuration; `None` stands for the private PostgreSQL.
pub fn configuration(target: &Target) -> Result<Option<Config>, SettingsError> {
    let Target::Given { url, variables } = target else { return Ok(None) };
    let url = url.as_deref().unwrap_or_default();
    let refuse = |why: &dyn std::fmt::Display| {
        SettingsError::new(format!(
            "the database's address cannot be used: {why}. It looks like postgres://user:password@host:5432/database"
        ))
    };
    let mut config = Config::from_str(url).map_err(|error| refuse(&explain(url, &error)))?;
    // An unescaped `@` in a password ends it for the driver; the rest must not be shown as a host's name.
    if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
        return Err(refuse(&"there are two @ in it: write one that belongs to the password as %40"));
    }
    let filled = variables.pairs().filter(|(key, _)| is_open(&config, url, key));
    let extra = filled.map(|(key, value)| format!("{key}='{}'", quote(value))).collect::<Vec<_>>().join(" ");
    let extra = Config::from_str(&extra).map_err(|error| refuse(&super::error::describe(&error)))?;
    fill(&mut config, &extra, url);
    if config.get_ssl_mode() == SslMode::Require {
        return Err(refuse(&"sslmode=require is asked for, but this build speaks to PostgreSQL without TLS"));
    }
    Ok(Some(finish(config)))
}

/// Sets what every connection of ours has, whoever named the server.
pub fn finish(mut config: Config) -> Config {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        if Path::new(USUAL_SOCKET_DIRECTORY).is_dir() {
            config.host(USUAL_SOCKET_DIRECTORY);
        } else {
            config.host("localhost");
        }
    }
    if config.get_application_name().is_none() {
        config.application_name("plimsoll");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    config
}

/// The server's address for people: hosts, ports and database, never a password.
pub fn describe(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| match host {
        Host::Tcp(name) => format!("{name}:{}", port(index)),
        Host::Unix(directory) => format!("{}/.s.PGSQL.{}", directory.display(), port(index)),
    });
    let hosts = hosts.collect::<Vec<_>>().join(",");
    match config.get_dbname().or_else(|| config.get_user()) {
        Some(database) => format!("{hosts} ({database})"),
        None => hosts,
    }
}

/// The address of a server without a password as key=value pairs, which [`configuration`] reads.
pub fn pairs(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(directory) => directory.display().to_string(),
    });
    let ports = config.get_ports().iter().map(ToString::to_string);
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    [
        ("host", hosts.collect::<Vec<_>>().join(",")),
        ("port", ports.collect::<Vec<_>>().join(",")),
        ("user", text(config.get_user())),
        ("dbname", text(config.get_dbname())),
    ]
    .iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| format!("{key}='{}'", quote(value)))
    .collect::<Vec<_>>()
    .join(" ")
}

/// The whole of an address as key=value pairs, its password too, for the environment of a child and for nobody's eyes.
pub fn secret_pairs(config: &Config) -> String {
    let hostaddrs = config.get_hostaddrs().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let password = String::from_utf8_lossy(config.get_password().unwrap_or_default()).into_owned();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let timeout =
        config.get_connect_timeout().map_or_else(String::new, |timeout| timeout.as_secs().max(1).to_string());
    let session = match config.get_target_session_attrs() {
        TargetSessionAttrs::ReadWrite => "read-write",
        TargetSessionAttrs::ReadOnly => "read-only",
        _ => "",
    };
    // This build speaks without TLS anyway.
    let sslmode = if config.get_ssl_mode() == SslMode::Disable { "disable" } else { "" };
    let more = [
        ("hostaddr", hostaddrs),
        ("password", password),
        ("options", text(config.get_options())),
        ("application_name", text(config.get_application_name())),
        ("connect_timeout", timeout),
        ("target_session_attrs", session.to_owned()),
        ("sslmode", sslmode.to_owned()),
    ];
    let filled = more.iter().filter(|(_, value)| !value.is_empty());
    let words = filled.map(|(key, value)| format!("{key}='{}'", quote(value)));
    std::iter::once(pairs(config)).chain(words).collect::<Vec<_>>().join(" ")
}

/// Host and port of a database that is named by one host and reached over TCP.
pub fn tcp_place(config: &Config) -> Option<(String, u16)> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match (config.get_hostaddrs(), config.get_hosts()) {
        ([address], [] | [_]) => Some((address.to_string(), port)),
        ([], [Host::Tcp(name)]) => Some((name.clone(), port)),
        _ => None,
    }
}

/// The same database by way of another address, such as a forwarder's.
pub fn moved(config: &Config, to: std::net::SocketAddr) -> Config {
    let mut moved = Config::new();
    moved.host(to.ip().to_string()).port(to.port()).ssl_mode(config.get_ssl_mode());
    moved.target_session_attrs(config.get_target_session_attrs());
    if let Some(user) = config.get_user() {
        moved.user(user);
    }
    if let Some(password) = config.get_password() {
        moved.password(password);
    }
    if let Some(dbname) = config.get_dbname() {
        moved.dbname(dbname);
    }
    if let Some(options) = config.get_options() {
        moved.options(options);
    }
    finish(moved)
}

/// Whether a database is named by an address of this machine: a socket's directory, or loopback.
pub fn is_here(config: &Config) -> bool {
    let is_loopback =
        |name: &str| name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
        && config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => !config.get_hostaddrs().is_empty() || is_loopback(name),
            Host::Unix(_) => true,
        })
}

fn is_open(config: &Config, url: &str, key: &str) -> bool {
    match key {
        "host" => config.get_hosts().is_empty() && config.get_hostaddrs().is_empty(),
        "port" => config.get_ports().is_empty(),
        "user" => config.get_user().is_none(),
        "password" => config.get_password().is_none(),
        "dbname" => config.get_dbname().is_none(),
        _ => is_ssl_open(config, url),
    }
}

/// Whether the URL leaves the use of TLS open; a mode that differs from the driver's default was written there.
fn is_ssl_open(config: &Config, url: &str) -> bool {
    config.get_ssl_mode() == SslMode::Prefer && !url.contains("sslmode")
}

/// What is wrong with an address, without its text where that may hold a password: words without a scheme read as keys.
fn explain(url: &str, error: &tokio_postgres::Error) -> String {
    let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    if !is_url && url.contains('@') {
        "it begins with neither postgres:// nor postgresql://".into()
    } else {
        super::error::describe(error)
    }
}

fn fill(config: &mut Config, extra: &Config, url: &str) {
    for host in extra.get_hosts() {
        match host {
            Host::Tcp(name) => config.host(name),
            Host::Unix(directory) => config.host_path(directory),
        };
    }
    for port in extra.get_ports() {
        config.port(*port);
    }
    if let Some(user) = extra.get_user() {
        config.user(user);
    }
    if let Some(password) = extra.get_password() {
        config.password(password);
    }
    if let Some(dbname) = extra.get_dbname() {
        config.dbname(dbname);
    }
    if is_ssl_open(config, url) {
        config.ssl_mode(extra.get_ssl_mode());
    }
}

/// Escapes a value for the driver's key='value' form.
fn quote(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::database::resolve_target;

    fn variables(pairs: &[(&str, &str)]) -> crate::config::database::PgVariables {
        let value = |wanted: &str| pairs.iter().find(|(key, _)| *key == wanted).map(|(_, v)| (*v).to_owned());
        crate::config::database::PgVariables {
            host: value("host"),
            port: value("port"),
            user: value("user"),
            password: value("password"),
            dbname: value("dbname"),
            sslmode: value("sslmode"),
            service: None,
        }
    }

    fn build(url: Option<&str>, pairs: &[(&str, &str)]) -> Result<Config, SettingsError> {
        configuration(&resolve_target(url, variables(pairs))).map(Option::unwrap)
    }

    #[test]
    fn the_url_wins_and_variables_fill_its_gaps() {
        let pairs =
            [("host", "other"), ("port", "1"), ("user", "other"), ("password", "it's"), ("dbname", "other")];
        let config = build(Some("postgres://me@db1:6432/rows"), &pairs).unwrap();
        assert_eq!(describe(&config), "db1:6432 (rows)");
        assert_eq!(config.get_user(), Some("me"));
        assert_eq!(config.get_password(), Some(&b"it's"[..]), "the URL names no password");
    }

    #[test]
    fn variables_alone_are_enough_and_take_lists_and_socket_directories() {
        let config = build(None, &[("host", "a,b"), ("port", "1,2"), ("dbname", "x")]).unwrap();
        assert_eq!(describe(&config), "a:1,b:2 (x)");
        let config = build(None, &[("host", "/run/pg"), ("dbname", "x")]).unwrap();
        assert_eq!(describe(&config), "/run/pg/.s.PGSQL.5432 (x)");
    }

    #[test]
    fn the_private_address_survives_its_way_through_a_variable() {
        let mut config = Config::new();
        config.host_path("/run/it's here").port(5433).user("benchmarkdbuser").dbname("hello_world");
        let read = build(Some(&pairs(&config)), &[]).unwrap();
        assert_eq!(describe(&read), "/run/it's here/.s.PGSQL.5433 (hello_world)");
        assert_eq!((read.get_user(), read.get_password()), (Some("benchmarkdbuser"), None));
    }

    #[test]
    fn the_whole_address_survives_its_way_through_a_variable() {
        let url = "host=db1,db2 port=1,2 user=me password='it''s \\\\ here' dbname=rows options='-c a=b' \
                   application_name=sweep connect_timeout=7 target_session_attrs=read-write sslmode=disable";
        let config: Config = url.replace("''", "\\'").parse().unwrap();
        assert_eq!(secret_pairs(&config).parse::<Config>().unwrap(), config);
    }

    #[test]
    fn tls_that_we_cannot_speak_is_refused_and_not_silently_left_out() {
        assert!(build(Some("postgres://db/x?sslmode=require"), &[]).unwrap_err().to_string().contains("TLS"));
        for url in ["host=db sslmode = require", "postgres://db/x?ssl%6dode=require"] {
            assert!(build(Some(url), &[]).is_err(), "{url}");
            assert!(build(Some(url), &[("sslmode", "disable")]).is_err(), "{url}");
        }
        assert!(build(None, &[("host", "db"), ("sslmode", "require")]).is_err());
        assert!(
            build(Some("postgres://db/x?sslmode=disable"), &[("sslmode", "require")]).is_ok(),
            "the URL wins"
        );
    }

    #[test]
    fn a_broken_url_is_refused_without_its_password() {
        for url in [
            "me:s3cret@db/x?sslmode=disable",
            "mysql://me:s3cret@db/x?a=b",
            "postgres://me:pass@s3cret@db/x",
            "me:s3cret@db/x",
        ] {
            let why = build(Some(url), &[]).unwrap_err().to_string();
            assert!(!why.contains("s3cret") && why.contains("postgres://user:password@host"), "{url}: {why}");
        }
    }

    #[test]
    fn a_broken_url_is_refused_with_the_shape_of_a_good_one() {
        let why = build(Some("postgres://db:port/x"), &[]).unwrap_err().to_string();
        assert!(why.contains("postgres://user:password@host"), "{why}");
    }
}
