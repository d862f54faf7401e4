//! Step 1 of 7, socket: opens the listeners, one for each worker and address.
//!
//! Listeners of one address share it by `SO_REUSEPORT` (socket(7)), and the kernel spreads connections over them evenly by a
//! hash of their addresses.
//!
//! **Invariant:** an address that another program listens on is refused, though `SO_REUSEPORT` would let a second program of
//! the same user share it silently.
//!
//! After: [`super::accept`].

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// All listeners, grouped by worker.
#[derive(Debug)]
pub struct Listeners {
    addresses: Vec<SocketAddr>,
    by_worker: Vec<Vec<TcpListener>>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody listens there already.
    #[error("{0} is in use by another program: stop it (`ss -ltnp` shows which), or choose another --port")]
    InUse(SocketAddr),
    /// Ports below 1024 take a privilege.
    #[error(
        "{0} needs the privilege to open ports below 1024: choose a higher --port, or grant CAP_NET_BIND_SERVICE"
    )]
    NotPermitted(SocketAddr),
    /// This machine has no such address.
    #[error("{0} is not an address of this machine: choose another --host")]
    NotOurs(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

impl Listeners {
    /// Opens a listener on each address for each worker; port 0 takes a free one, the same for all workers.
    pub fn open(addresses: &[SocketAddr], workers: usize) -> Result<Self, SocketError> {
        let mut by_worker: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
        let mut opened = Vec::with_capacity(addresses.len());
        for &wanted in addresses {
            let mut address = claim(wanted)?;
            for listeners in &mut by_worker {
                let listener = listen(address).map_err(|error| explain(address, error))?;
                address = listener.local_addr().map_err(|error| explain(address, error))?;
                listeners.push(listener);
            }
            opened.push(address);
        }
        Ok(Self { addresses: opened, by_worker })
    }

    /// The addresses in force, with the ports that were found for 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Descriptors that they take.
    pub fn count(&self) -> usize {
        self.by_worker.iter().map(Vec::len).sum()
    }

    /// Each worker's listeners.
    pub(super) fn into_shares(self) -> impl Iterator<Item = Vec<TcpListener>> {
        self.by_worker.into_iter()
    }
}

/// Makes sure that nobody listens there: without `SO_REUSEPORT` the kernel refuses to bind beside a listener (socket(7)). The socket
/// never listens itself, so that no client can meet it.
fn claim(address: SocketAddr) -> Result<SocketAddr, SocketError> {
    if address.port() == 0 {
        return Ok(address);
    }
    let probe = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Connections of a server that stopped just now, in TIME_WAIT, do not stand in the way.
        socket.set_reuse_address(true)?;
        set_only_v6(&socket, address)?;
        socket.bind(&address.into())
    };
    probe().map(|()| address).map_err(|error| explain(address, error))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    set_only_v6(&socket, address)?;
    socket.set_nonblocking(true)?;
    // Inherited by every connection accepted from it (Linux, tcp(7)): an answer is one write and must not wait for an ACK.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// `[::]` listens for IPv6 only, so that 0.0.0.0 can be listened on beside it, whatever `net.ipv6.bindv6only` says.
fn set_only_v6(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() { socket.set_only_v6(true) } else { Ok(()) }
}

fn explain(address: SocketAddr, source: io::Error) -> SocketError {
    match source.kind() {
        io::ErrorKind::AddrInUse => SocketError::InUse(address),
        io::ErrorKind::PermissionDenied => SocketError::NotPermitted(address),
        io::ErrorKind::AddrNotAvailable => SocketError::NotOurs(address),
        _ => SocketError::Other { address, source },
    }
}

/// Raises the soft limit of open descriptors to the hard one; gives what it was and what it is.
pub fn raise_descriptor_limit() -> (Option<u64>, Option<u64>) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return (current, current);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => (current, maximum),
        Err(_) => (current, current),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";

    #[test]
    fn workers_share_one_port() {
        let listeners = Listeners::open(&[ANY.parse().unwrap()], 3).unwrap();
        let port = listeners.addresses()[0].port();
        assert_ne!(port, 0);
        let shares: Vec<Vec<TcpListener>> = listeners.into_shares().collect();
        assert_eq!(shares.len(), 3);
        assert!(shares.iter().flatten().all(|listener| listener.local_addr().unwrap().port() == port));
    }

    #[test]
    fn an_address_in_use_is_refused_even_by_our_own_kind() {
        let first = Listeners::open(&[ANY.parse().unwrap()], 1).unwrap();
        let refused = Listeners::open(first.addresses(), 1).unwrap_err();
        assert!(matches!(refused, SocketError::InUse(_)), "{refused}");
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let refused = Listeners::open(&["192.0.2.1:0".parse().unwrap()], 1).unwrap_err();
        assert!(matches!(refused, SocketError::NotOurs(_)), "{refused}");
    }
}
