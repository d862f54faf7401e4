//! An address as text again: for people, and for programs of ours.
//!
//! **Invariant:** a password is in none of them but [`secret_pairs`].

use tokio_postgres::config::{ChannelBinding, Host, LoadBalanceHosts};

use super::super::config::Config;
use super::super::standing::Standing;
use super::super::tls::{Mode, Roots};

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

/// The address of a server without a password as key=value pairs, which [`super::configuration`] reads.
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
    let wanted = config.tls().map(super::super::tls::Tls::wanted);
    let roots = match wanted.and_then(|wanted| wanted.roots.as_ref()) {
        Some(Roots::File(path)) => path.display().to_string(),
        Some(Roots::System) => "system".into(),
        None => String::new(),
    };
    let binding = match config.get_channel_binding() {
        ChannelBinding::Disable => "disable",
        ChannelBinding::Require => "require",
        _ => "",
    };
    let balance = if config.get_load_balance_hosts() == LoadBalanceHosts::Random { "random" } else { "" };
    let standing = Some(config.standing()).filter(|standing| *standing != Standing::Any);
    let more = [
        ("hostaddr", hostaddrs),
        ("password", password),
        ("options", text(config.get_options())),
        ("application_name", text(config.get_application_name())),
        ("connect_timeout", timeout),
        ("target_session_attrs", text(standing.map(Standing::word))),
        ("load_balance_hosts", balance.to_owned()),
        ("channel_binding", binding.to_owned()),
        ("sslmode", wanted.map_or(Mode::Disable, |wanted| wanted.mode).word().to_owned()),
        ("sslrootcert", roots),
    ];
    let filled = more.iter().filter(|(_, value)| !value.is_empty());
    let words = filled.map(|(key, value)| format!("{key}='{}'", quote(value)));
    std::iter::once(pairs(config)).chain(words).collect::<Vec<_>>().join(" ")
}

/// Escapes a value for the driver's key='value' form.
pub(super) fn quote(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'")
}
