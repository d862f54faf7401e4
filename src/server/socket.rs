//! Step 1 of 7, socket: opens the listeners on every address, as many as the way of accepting wants.
//!
//! With `reuseport` each worker has one of its own: listeners of one address share it by `SO_REUSEPORT` (socket(7)), and the
//! kernel spreads connections over them evenly by a hash of their addresses. With `shared` all workers have the same one, with
//! `handoff` those of one process do.
//!
//! Listeners that somebody else has opened, systemd as a rule, are taken as they are, and shared by all workers: see
//! docs/decisions/0017-inherited-listeners-are-shared.md.
//!
//! **Invariant:** an address that another program listens on is refused, though `SO_REUSEPORT` would let a second program of
//! the same user share it silently.
//!
//! After: [`super::accept`].

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::config::Topology;
use crate::config::workers::Accept;

/// Connections that wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// All listeners, grouped by process.
#[derive(Debug)]
pub struct Listeners {
    addresses: Vec<SocketAddr>,
    /// For each process and each of its workers that has listeners of its own, one for each address.
    by_process: Vec<Vec<Vec<TcpListener>>>,
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
    /// What was passed is no socket that connections come to.
    #[error(
        "the socket at {0} that was passed to this process does not listen: in the unit of the socket it takes Accept=no, the default"
    )]
    NotListening(SocketAddr),
    /// What was passed is somehow not fit for use.
    #[error("a listener that was passed to this process cannot be used: {0}")]
    Passed(io::Error),
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
    /// Opens a listener on each address for whoever has one of its own; port 0 takes a free one, the same for all.
    pub fn open(addresses: &[SocketAddr], topology: Topology) -> Result<Self, SocketError> {
        let owners = if topology.accept == Accept::Reuseport { topology.workers.get() } else { 1 };
        let mut by_process: Vec<Vec<Vec<TcpListener>>> =
            (0..topology.processes.get()).map(|_| (0..owners).map(|_| Vec::new()).collect()).collect();
        let mut opened = Vec::with_capacity(addresses.len());
        for &wanted in addresses {
            let mut address = claim(wanted)?;
            let mut first: Option<TcpListener> = None;
            for listeners in by_process.iter_mut().flatten() {
                let listener = match &first {
                    Some(first) if topology.accept == Accept::Shared => first.try_clone(),
                    _ => listen(address),
                };
                let listener = listener.map_err(|error| explain(address, error))?;
                address = listener.local_addr().map_err(|error| explain(address, error))?;
                if first.is_none() && topology.accept == Accept::Shared {
                    first = Some(listener.try_clone().map_err(|error| explain(address, error))?);
                }
                listeners.push(listener);
            }
            opened.push(address);
        }
        Ok(Self { addresses: opened, by_process })
    }

    /// Takes listeners that are open already, for all workers to share, or the acceptor of each process.
    pub fn adopt(inherited: Vec<TcpListener>, topology: Topology) -> Result<Self, SocketError> {
        let mut addresses = Vec::with_capacity(inherited.len());
        for listener in &inherited {
            let socket = SockRef::from(listener);
            let address = listener.local_addr().map_err(SocketError::Passed)?;
            if !socket.is_listener().map_err(SocketError::Passed)? {
                return Err(SocketError::NotListening(address));
            }
            // As `listen` has them. Listening once more only sets the backlog (listen(2)).
            listener.set_nonblocking(true).map_err(SocketError::Passed)?;
            socket.set_tcp_nodelay(true).map_err(SocketError::Passed)?;
            socket.listen(BACKLOG).map_err(SocketError::Passed)?;
            addresses.push(address);
        }
        let clones = || inherited.iter().map(TcpListener::try_clone).collect::<io::Result<Vec<_>>>();
        let others = (1..topology.processes.get()).map(|_| clones()).collect::<io::Result<Vec<_>>>();
        let mut by_process: Vec<_> =
            others.map_err(SocketError::Passed)?.into_iter().map(|clones| vec![clones]).collect();
        by_process.push(vec![inherited]);
        Ok(Self { addresses, by_process })
    }

    /// The addresses in force, with the ports that were found for 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The listeners of each process, in the order in which [`share_out`] wants them.
    pub fn into_processes(self) -> impl Iterator<Item = Vec<TcpListener>> {
        self.by_process.into_iter().map(|owners| owners.into_iter().flatten().collect())
    }
}

/// What each of a process's workers listens on. Where they share the listeners, each gets a descriptor of its own.
pub(super) fn share_out(
    listeners: Vec<TcpListener>,
    accept: Accept,
    workers: usize,
) -> io::Result<Vec<Vec<TcpListener>>> {
    if accept != Accept::Reuseport {
        let clones = || listeners.iter().map(TcpListener::try_clone).collect::<io::Result<Vec<_>>>();
        let mut shares = (1..workers).map(|_| clones()).collect::<io::Result<Vec<_>>>()?;
        shares.push(listeners);
        return Ok(shares);
    }
    let each = listeners.len() / workers;
    let mut listeners = listeners.into_iter();
    Ok((0..workers).map(|_| listeners.by_ref().take(each).collect()).collect())
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

    fn topology(processes: u32, workers: u32, accept: Accept) -> Topology {
        let number = |n| std::num::NonZeroU32::new(n).unwrap();
        Topology { processes: number(processes), workers: number(workers), accept }
    }

    /// The sockets of all workers over all processes, by their inodes, which tell a socket from another.
    fn sockets(accept: Accept) -> Vec<Vec<u64>> {
        use std::os::fd::AsFd as _;
        let listeners = Listeners::open(&[ANY.parse().unwrap(); 2], topology(2, 3, accept)).unwrap();
        let ports: Vec<u16> = listeners.addresses().iter().map(SocketAddr::port).collect();
        assert!(ports[0] != ports[1] && ports[0] != 0, "{ports:?}");
        let processes = listeners.into_processes();
        let shares: Vec<Vec<TcpListener>> =
            processes.flat_map(|process| share_out(process, accept, 3).unwrap()).collect();
        for share in &shares {
            let found: Vec<u16> = share.iter().map(|one| one.local_addr().unwrap().port()).collect();
            assert_eq!(found, ports);
        }
        let inode = |listener: &TcpListener| rustix::fs::fstat(listener.as_fd()).unwrap().st_ino;
        shares.iter().map(|share| share.iter().map(inode).collect()).collect()
    }

    #[test]
    fn every_worker_listens_on_every_address_and_shares_as_it_should() {
        for (accept, distinct) in [(Accept::Reuseport, 12), (Accept::Shared, 2), (Accept::Handoff, 4)] {
            let sockets = sockets(accept);
            assert_eq!(sockets.len(), 6, "{accept:?}");
            let all: std::collections::BTreeSet<u64> = sockets.into_iter().flatten().collect();
            assert_eq!(all.len(), distinct, "{accept:?}");
        }
    }

    #[test]
    fn listeners_that_are_passed_are_shared_by_all_processes_and_one_that_does_not_listen_is_refused() {
        use std::os::fd::AsFd as _;
        let open = TcpListener::bind(ANY).unwrap();
        let (address, inode) = (open.local_addr().unwrap(), rustix::fs::fstat(open.as_fd()).unwrap().st_ino);
        let adopted = Listeners::adopt(vec![open], topology(3, 2, Accept::Shared)).unwrap();
        assert_eq!(adopted.addresses(), [address]);
        let shares: Vec<Vec<TcpListener>> = adopted
            .into_processes()
            .flat_map(|process| share_out(process, Accept::Shared, 2).unwrap())
            .collect();
        assert_eq!(shares.len(), 6);
        for share in shares {
            assert_eq!(share.len(), 1);
            assert_eq!(rustix::fs::fstat(share[0].as_fd()).unwrap().st_ino, inode);
        }
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        bound.bind(&ANY.parse::<SocketAddr>().unwrap().into()).unwrap();
        let refused = Listeners::adopt(vec![bound.into()], topology(1, 1, Accept::Shared)).unwrap_err();
        assert!(matches!(refused, SocketError::NotListening(_)), "{refused}");
    }

    #[test]
    fn an_address_in_use_is_refused_even_by_our_own_kind() {
        let alone = topology(1, 1, Accept::Reuseport);
        let first = Listeners::open(&[ANY.parse().unwrap()], alone).unwrap();
        let refused = Listeners::open(first.addresses(), alone).unwrap_err();
        assert!(matches!(refused, SocketError::InUse(_)), "{refused}");
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let refused =
            Listeners::open(&["192.0.2.1:0".parse().unwrap()], topology(1, 1, Accept::Shared)).unwrap_err();
        assert!(matches!(refused, SocketError::NotOurs(_)), "{refused}");
    }
}
