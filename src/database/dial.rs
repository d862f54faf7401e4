//! Reaches a PostgreSQL server: the hosts of the configuration in their order, and each host's addresses.
//!
//! The driver does this by itself, but not over a stream of ours; so what its own `connect` sees to is done here: several hosts,
//! their order, the time for each, keepalives, TLS.
//!
//! **Invariant:** no attempt is without a limit where the configuration sets one.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Once};

use rand::seq::SliceRandom;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::{Host, LoadBalanceHosts};

use super::config::Config;
use super::tls::{Answer, Tls};
use super::wire::Socket;

/// PostgreSQL's own port.
const DEFAULT_PORT: u16 = 5432;

/// One place where a server may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// An IP address and port, and the name that it was found by or that stands beside it in the settings.
    Tcp(SocketAddr, Option<Arc<str>>),
    /// The path of a socket file.
    Unix(PathBuf),
}

/// One host of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Candidate {
    /// Where it is.
    At(Address),
    /// A name to look up, and a port.
    Named(String, u16),
}

/// The configuration's hosts, in the order in which they are to be tried.
pub(super) fn candidates(config: &Config) -> io::Result<Vec<Candidate>> {
    let (hosts, hostaddrs, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(hostaddrs.len());
    if count == 0 {
        return Err(invalid("neither host nor hostaddr is given"));
    }
    if !hosts.is_empty() && !hostaddrs.is_empty() && hosts.len() != hostaddrs.len() {
        return Err(invalid("the numbers of hosts and hostaddrs differ"));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(invalid("the numbers of hosts and ports differ"));
    }
    let candidate = |index: usize| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
        match (hostaddrs.get(index), hosts.get(index)) {
            (Some(address), host) => {
                let name = host.and_then(|host| match host {
                    Host::Tcp(name) => Some(name.as_str().into()),
                    Host::Unix(_) => None,
                });
                Some(Candidate::At(Address::Tcp(SocketAddr::new(*address, port), name)))
            }
            (None, Some(Host::Unix(folder))) => {
                Some(Candidate::At(Address::Unix(folder.join(format!(".s.PGSQL.{port}")))))
            }
            (None, Some(Host::Tcp(name))) => Some(Candidate::Named(name.clone(), port)),
            (None, None) => None,
        }
    };
    let mut candidates: Vec<Candidate> = (0..count).filter_map(candidate).collect();
    if is_random(config) {
        candidates.shuffle(&mut rand::rng());
    }
    Ok(candidates)
}

/// The addresses of one host.
pub(super) async fn resolve(candidate: &Candidate, config: &Config) -> io::Result<Vec<Address>> {
    let (name, port) = match candidate {
        Candidate::At(address) => return Ok(vec![address.clone()]),
        Candidate::Named(name, port) => (name.as_str(), *port),
    };
    let shared: Arc<str> = name.into();
    let found = tokio::net::lookup_host((name, port)).await;
    let found = found.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    let mut addresses: Vec<Address> =
        found.map(|address| Address::Tcp(address, Some(Arc::clone(&shared)))).collect();
    if is_random(config) {
        addresses.shuffle(&mut rand::rng());
    }
    Ok(addresses)
}

fn is_random(config: &Config) -> bool {
    config.get_load_balance_hosts() == LoadBalanceHosts::Random
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address, _) => address.fmt(formatter),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

/// Opens a socket to the address, with the configuration's time-out, keepalives and TLS; a failure names the address.
pub(super) async fn dial(address: &Address, config: &Config) -> io::Result<Socket> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    open(address, config, config.tls()).await.map_err(named)
}

/// The same without TLS, for where that is not needed.
pub(super) async fn dial_in_the_clear(address: &Address, config: &Config) -> io::Result<Socket> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    open(address, config, None).await.map_err(named)
}

async fn open(address: &Address, config: &Config, tls: Option<&Tls>) -> io::Result<Socket> {
    let (at, name) = match address {
        // On a Unix socket TLS is not spoken, whatever was asked for, as with libpq.
        Address::Unix(path) => {
            return in_time(config, UnixStream::connect(path)).await.map(Socket::Unix);
        }
        Address::Tcp(at, name) => (*at, name.as_deref()),
    };
    let stream = connect(at, config).await?;
    let Some(tls) = tls else { return Ok(Socket::Tcp(stream)) };
    match tls.secure(stream, at, name).await {
        Ok(Answer::Secured(stream)) => Ok(Socket::Tls(stream)),
        Ok(Answer::Refused(stream)) => Ok(Socket::Tcp(stream)),
        // The connection is of no use any more; `prefer` is content with another one without TLS.
        Err(error) if tls.is_optional() => {
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                tracing::warn!("{at}: {error}; going on without TLS, as sslmode=prefer allows; said once");
            });
            connect(at, config).await.map(Socket::Tcp)
        }
        Err(error) => Err(error),
    }
}

async fn connect(at: SocketAddr, config: &Config) -> io::Result<TcpStream> {
    let stream = in_time(config, TcpStream::connect(at)).await?;
    stream.set_nodelay(true)?;
    let options = SockRef::from(&stream);
    #[cfg(target_os = "linux")]
    if let Some(time) = config.get_tcp_user_timeout() {
        options.set_tcp_user_timeout(Some(*time))?;
    }
    if config.get_keepalives() {
        options.set_tcp_keepalive(&keepalive(config))?;
    }
    Ok(stream)
}

async fn in_time<T>(config: &Config, connect: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match config.get_connect_timeout() {
        Some(time) => tokio::time::timeout(*time, connect).await?,
        None => connect.await,
    }
}

fn keepalive(config: &Config) -> TcpKeepalive {
    let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
    if let Some(interval) = config.get_keepalives_interval() {
        keepalive = keepalive.with_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        keepalive = keepalive.with_retries(retries);
    }
    keepalive
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> Result<Vec<Candidate>, String> {
        let driver: tokio_postgres::Config = text.parse().unwrap();
        candidates(&driver.into()).map_err(|error| error.to_string())
    }

    fn tcp(address: &str, name: Option<&str>) -> Candidate {
        Candidate::At(Address::Tcp(address.parse().unwrap(), name.map(Into::into)))
    }

    #[test]
    fn hosts_are_tried_in_their_order_each_with_its_port() {
        let socket = Candidate::At(Address::Unix("/run/pg/.s.PGSQL.1".into()));
        let name = |name: &str, port| Candidate::Named(name.into(), port);
        assert_eq!(order("host=/run/pg,b port=1,2").unwrap(), [socket, name("b", 2)]);
        assert_eq!(order("host=a").unwrap(), [name("a", 5432)]);
        assert_eq!(order("host=a,b port=7").unwrap(), [name("a", 7), name("b", 7)]);
    }

    #[test]
    fn an_address_that_is_given_saves_the_look_up_and_keeps_the_name_for_the_certificate() {
        assert_eq!(order("host=a hostaddr=192.0.2.1").unwrap(), [tcp("192.0.2.1:5432", Some("a"))]);
        assert_eq!(order("hostaddr=192.0.2.1 port=7").unwrap(), [tcp("192.0.2.1:7", None)]);
    }

    #[test]
    fn lists_that_do_not_match_are_refused() {
        for (text, why) in [
            ("user=a", "neither host nor hostaddr is given"),
            ("host=a,b hostaddr=192.0.2.1", "the numbers of hosts and hostaddrs differ"),
            ("host=a,b,c port=1,2", "the numbers of hosts and ports differ"),
        ] {
            assert_eq!(order(text), Err(why.to_owned()), "{text}");
        }
    }
}
