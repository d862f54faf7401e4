//! From settings to how the database is reached.
//!
//! **Invariant:** what the URL says is never overruled; variables only fill what it leaves open.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config as Driver;
use tokio_postgres::config::{Host, SslNegotiation};

use super::config::Config;
use super::standing::Standing;
use super::tls::{Mode, Tls, Wanted};
use crate::config::SettingsError;
use crate::config::database::{PgVariables, Target};

mod own;
mod text;

pub use text::{describe, pairs, secret_pairs};

/// How long one attempt to reach one host may take, where the URL does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where libpq looks for a server when nobody names one, and where Debian's has its socket.
const USUAL_SOCKET_DIRECTORY: &str = "/var/run/postgresql";

/// What the driver says of a text without quoting it, but for the name of an option that it knows.
const SAFE_WORDS: [&str; 5] = [
    "invalid value for option",
    "unterminated parameter",
    "unexpected EOF",
    "unterminated quoted connection parameter value",
    "invalid utf-8 sequence",
];

/// The keys of an address, those of libpq that are served.
const KEYS: [&str; 19] = [
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "sslmode",
    "sslrootcert",
    "channel_binding",
    "load_balance_hosts",
];

/// Reads how the database is to be reached; `None` stands for the private PostgreSQL.
///
/// # Errors
/// What is wrong, never with the password, and what an address looks like.
pub fn configuration(target: &Target) -> Result<Option<Config>, SettingsError> {
    let Target::Given { url, variables } = target else { return Ok(None) };
    let url = url.as_deref().unwrap_or_default();
    let refuse = |why| {
        SettingsError::new(format!(
            "the database's address cannot be used: {why}. It looks like postgres://user:password@host:5432/database"
        ))
    };
    read(url, variables).map(Some).map_err(refuse)
}

/// The same for the address of replicas, which names at least one, and no kind of server that replicas are not.
///
/// # Errors
/// As above.
pub fn of_reads(target: &Target) -> Result<Option<Config>, SettingsError> {
    let Target::Given { url, variables } = target else { return Ok(None) };
    let refuse = |why: String| {
        SettingsError::new(format!(
            "--database-read-url cannot be used: {why}. It looks like \
             postgres://user:password@host1:5432,host2:5432/database?load_balance_hosts=random"
        ))
    };
    let url = url.as_deref().unwrap_or_default();
    let names_one = own::take(url).ok().and_then(|(rest, _)| Driver::from_str(&rest).ok());
    if names_one.is_some_and(|driver| driver.get_hosts().is_empty() && driver.get_hostaddrs().is_empty()) {
        return Err(refuse("it names no host".into()));
    }
    let config = read(url, variables).map_err(refuse)?;
    if config.standing().wants_writes() {
        let word = config.standing().word();
        return Err(refuse(format!(
            "target_session_attrs={word} asks for a server that takes writes, and nothing is written there; leave it out, or say any, \
             read-only, standby or prefer-standby"
        )));
    }
    super::replicas::each(&config).map_err(refuse)?;
    Ok(Some(config))
}

fn read(url: &str, variables: &PgVariables) -> Result<Config, String> {
    // An unescaped `@` in a password ends it for the driver; the rest must not be shown as a host, a database or a parameter.
    if is_url(url) && url.matches('@').count() > 1 {
        return Err(
            "there are two @ in it: write one that belongs to the password, or to a parameter, as %40".into(),
        );
    }
    let (rest, own) = own::take(url)?;
    let mut driver = Driver::from_str(&rest).map_err(|error| explain(url, &error))?;
    if driver.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
        return Err("a host's name holds an @: write one that belongs to the password as %40".into());
    }
    if driver.get_ssl_negotiation() == SslNegotiation::Direct {
        return Err("sslnegotiation=direct is not supported: leave it out".into());
    }
    let filled = variables.pairs().filter(|(key, _)| is_open(&driver, key));
    let extra =
        filled.map(|(key, value)| format!("{key}='{}'", text::quote(value))).collect::<Vec<_>>().join(" ");
    let extra = Driver::from_str(&extra).map_err(|error| super::error::describe(&error))?;
    fill(&mut driver, &extra);
    let own = own.or(variables);
    let wanted = Wanted::read(own.sslmode.as_deref(), own.sslrootcert.as_deref())?;
    let standing = Standing::read(own.target_session_attrs.as_deref().unwrap_or_default())?;
    let config = Config::new(driver, Tls::prepare(wanted)?, standing);
    let finished = finish((*config).clone());
    Ok(config.with_driver(finished))
}

/// An address without any variables.
impl FromStr for Config {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text, &PgVariables::default())
    }
}

/// Sets what every connection of ours has, whoever named the server.
fn finish(mut config: Driver) -> Driver {
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
    let mut moved = Driver::new();
    match (config.tls().map(|tls| tls.wanted().mode), config.get_hosts()) {
        // The certificate is for the name, whatever stands in between.
        (Some(Mode::VerifyFull), [Host::Tcp(name)]) => moved.host(name).hostaddr(to.ip()),
        _ => moved.host(to.ip().to_string()),
    };
    moved.port(to.port()).channel_binding(config.get_channel_binding());
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
    config.with_driver(finish(moved))
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

fn is_open(config: &Driver, key: &str) -> bool {
    match key {
        "host" => config.get_hosts().is_empty() && config.get_hostaddrs().is_empty(),
        "port" => config.get_ports().is_empty(),
        "user" => config.get_user().is_none(),
        "password" => config.get_password().is_none(),
        "dbname" => config.get_dbname().is_none(),
        _ => false,
    }
}

fn is_url(text: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
}

/// What is wrong with an address, without any of its text, which may be of a password: words without a scheme read as keys, and so does
/// what follows a space, a `?` or an `&` that should have been escaped. Of what the driver says only that is passed on which names an
/// option of its own, or nothing.
fn explain(url: &str, error: &tokio_postgres::Error) -> String {
    if !is_url(url) && url.contains('@') {
        return "it begins with neither postgres:// nor postgresql://".into();
    }
    let why = super::error::describe(error);
    if SAFE_WORDS.iter().any(|words| why.contains(words)) && !why.contains("unknown option") {
        return why;
    }
    let known = KEYS.join(", ");
    format!(
        "it holds a key that is not known, or a value whose spaces or signs are not escaped; write a password between single quotes, \
         or in a URL with %20, %3F and the like. The keys are {known}"
    )
}

fn fill(config: &mut Driver, extra: &Driver) {
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
            sslrootcert: value("sslrootcert"),
            target_session_attrs: value("target_session_attrs"),
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
        let mut driver = Driver::new();
        driver.host_path("/run/it's here").port(5433).user("benchmarkdbuser").dbname("hello_world");
        let read = build(Some(&pairs(&driver.into())), &[]).unwrap();
        assert_eq!(describe(&read), "/run/it's here/.s.PGSQL.5433 (hello_world)");
        assert_eq!((read.get_user(), read.get_password()), (Some("benchmarkdbuser"), None));
    }

    #[test]
    fn the_whole_address_survives_its_way_through_a_variable() {
        let text = "host=db1,db2 port=1,2 user=me password='it\\'s \\\\ here' dbname=rows options='-c a=b' \
                    application_name=sweep connect_timeout=7 load_balance_hosts=random channel_binding=disable";
        for own in [
            "target_session_attrs=read-write sslmode=disable",
            "target_session_attrs=standby sslmode=require",
        ] {
            let config: Config = format!("{text} {own}").parse().unwrap();
            let read: Config = secret_pairs(&config).parse().unwrap();
            assert_eq!(*read, *config);
            assert_eq!(
                (read.standing(), format!("{:?}", read.tls())),
                (config.standing(), format!("{:?}", config.tls()))
            );
        }
    }

    #[test]
    fn how_much_tls_there_is_to_be_follows_from_the_url_and_then_from_variables() {
        let mode = |url: Option<&str>, pairs: &[(&str, &str)]| {
            build(url, pairs).map(|config| config.tls().map(|tls| tls.wanted().mode))
        };
        assert_eq!(mode(Some("postgres://db/x"), &[]).unwrap(), Some(Mode::Prefer), "as for libpq");
        assert_eq!(mode(Some("postgres://db/x?sslmode=disable"), &[("sslmode", "require")]).unwrap(), None);
        assert_eq!(mode(Some("host=db"), &[("sslmode", "require")]).unwrap(), Some(Mode::Require));
        assert_eq!(
            mode(Some("host=db sslmode = require"), &[("sslmode", "disable")]).unwrap(),
            Some(Mode::Require)
        );
        for (url, words) in [
            ("postgres://db/x?sslmode=verify-full", "sslrootcert"),
            ("postgres://db/x?sslmode=sometimes", "verify-ca"),
            ("postgres://db/x?sslmode=verify-ca&sslrootcert=/nowhere/ca.pem", "/nowhere/ca.pem"),
            ("postgres://db/x?sslnegotiation=direct", "leave it out"),
            ("postgres://db/x?target_session_attrs=leader", "primary"),
        ] {
            let why = build(Some(url), &[]).unwrap_err().to_string();
            assert!(why.contains(words), "{url}: {why}");
        }
    }

    #[test]
    fn a_forwarder_in_between_changes_neither_the_name_that_is_verified_nor_the_kind_of_server() {
        let config: Config = "host=db1 user=me target_session_attrs=primary sslmode=require".parse().unwrap();
        let moved = moved(&config, "127.0.0.1:7".parse().unwrap());
        assert_eq!((describe(&moved), moved.standing()), ("127.0.0.1:7 (me)".into(), Standing::Primary));
        assert!(moved.tls().is_some());
    }

    #[test]
    fn a_broken_url_is_refused_without_its_password() {
        for url in [
            "me:s3cret@db/x?sslmode=disable",
            "mysql://me:s3cret@db/x?a=b",
            "postgres://me:pass@s3cret@db/x",
            "postgres://me:pass@db1?s3cret=1@db/x",
            "postgres://me:pass?s3cret=1",
            "postgres://me:12?s3cret=1",
            "postgres://me:p@db/s3cret@db/x",
            "host=db user=me pass=s3cret",
            "host=db user=me s3cret=1",
            "me:s3cret@db/x",
        ] {
            let why = build(Some(url), &[]).unwrap_err().to_string();
            assert!(!why.contains("s3cret") && why.contains("postgres://user:password@host"), "{url}: {why}");
        }
    }

    #[test]
    fn every_key_that_is_named_as_known_is_known() {
        for key in KEYS {
            let why = build(Some(&format!("host=db {key}=?")), &[]).map(drop);
            let why = why.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!why.contains("not known"), "{key}: {why}");
        }
        let why = build(Some("postgres://me@db/x?ssl_mode=require"), &[]).unwrap_err().to_string();
        assert!(why.contains("not known") && why.contains("sslmode"), "{why}");
    }

    #[test]
    fn a_broken_url_is_refused_with_the_shape_of_a_good_one() {
        let why = build(Some("postgres://db:port/x"), &[]).unwrap_err().to_string();
        assert!(why.contains("postgres://user:password@host"), "{why}");
    }
}
