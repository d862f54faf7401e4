//! Step 2 of 7, accept: takes connections off a listener and hands each on, with a place or as one too many.
//!
//! **Invariant:** the loop ends on a stop and on nothing else. A connection that dies before it is taken is skipped; a full
//! descriptor table makes the loop rest, not stop.
//!
//! Before: [`super::socket`]. After: [`super::worker`], with `--accept handoff` by way of [`super::handoff`].

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::Instant;

use super::admission::Capacity;
use super::stop::Stop;
use crate::config::limits::WhenFull;

/// How long to rest when descriptors, memory or places have run out; connections wait in the backlog meanwhile.
const REST: Duration = Duration::from_millis(50);

/// How long to rest while the workers' queues are full.
const QUEUE_REST: Duration = Duration::from_millis(1);

/// How long a handshake that has begun may take to end before the listener closes; the client is a round trip away.
const HANDSHAKE: Duration = Duration::from_millis(10);

/// Connections taken in one go, before those that are served get their turn: with thousands of them busy that turn is long, and a
/// crowd in the backlog should not wait for many.
const BATCH: usize = 512;

/// How often it is spoken of that none can be accepted.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Attempts to take what waits in the backlog of a listener that closes, with a rest between two.
const LAST_ATTEMPTS: u32 = 20;

/// Whoever takes connections in: a worker, or an acceptor for its workers.
pub(super) trait Host {
    /// How many there may be.
    fn capacity(&self) -> &Capacity;
    /// Whether it can take one more now, whatever becomes of it.
    fn is_ready(&self) -> bool {
        true
    }
    /// Takes what came; gives it back where it is one too many and is to wait.
    fn receive(&self, socket: OwnedFd) -> Result<(), OwnedFd>;
    /// Closes the connection that can best be spared, if there is one; says whether it did.
    fn make_room(&self) -> bool;
    /// Hears that connections wait for places.
    fn note_full(&self);
    /// Hears that the system gave no descriptor or no memory for a connection.
    fn note_accept_error(&self);
}

/// Accepts until told to stop, then takes what waits in the backlog and closes the listener.
pub(super) async fn accept(
    listener: AsyncFd<TcpListener>,
    host: &impl Host,
    mut stop: watch::Receiver<Stop>,
) {
    let mut starvation = Starvation::default();
    loop {
        let ready = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop != Stop::Run) => break,
            ready = listener.ready(Interest::READABLE) => ready,
        };
        let Ok(mut ready) = ready else {
            // The event loop is ending, and this task with it.
            tokio::time::sleep(REST).await;
            continue;
        };
        for _ in 0..BATCH {
            until_ready(host).await;
            match ready.try_io(|listener| accept_one(listener.get_ref())) {
                Ok(Ok(socket)) => {
                    starvation.end();
                    hand_on(host, socket).await;
                }
                Ok(Err(error)) if is_of_one_connection(&error) => {}
                Ok(Err(error)) => {
                    starvation.note(&error);
                    host.note_accept_error();
                    // Only a descriptor of ours can be had back from a connection of ours.
                    let is_ours = Errno::from_io_error(&error) == Some(Errno::MFILE);
                    if !is_ours || host.capacity().when_full() != WhenFull::Evict || !host.make_room() {
                        tokio::time::sleep(REST).await;
                        break;
                    }
                }
                Err(_nothing_waits) => break,
            }
        }
        tokio::task::yield_now().await;
    }
    // In the last stop only: a successor has the same sockets, and what waits in the backlog is its, and so are newcomers.
    if *stop.borrow() == Stop::Drain {
        close(listener, host).await;
    }
}

/// Gives a connection to the host; where it is one too many and is to wait, it waits here, and those behind it in the backlog.
async fn hand_on(host: &impl Host, mut socket: OwnedFd) {
    while let Err(refused) = host.receive(socket) {
        host.note_full();
        tokio::time::sleep(REST).await;
        socket = refused;
    }
}

/// Times in which the system gives no descriptor for a connection that waits.
#[derive(Default)]
struct Starvation {
    /// Since when, in such a time.
    since: Option<Instant>,
    /// How often it was asked in vain.
    refusals: u64,
    /// When it was spoken of last: a limit that is met again and again is not a line each time.
    said: Option<Instant>,
}

impl Starvation {
    fn note(&mut self, error: &io::Error) {
        self.refusals += 1;
        if self.since.is_some() {
            return;
        }
        let now = Instant::now();
        self.since = Some(now);
        if self.said.is_none_or(|said| now.duration_since(said) >= SAY_EVERY) {
            self.said = Some(now);
            tracing::warn!("no connection can be accepted: {error}; resting and trying on");
        }
    }

    fn end(&mut self) {
        let Some(since) = self.since.take() else { return };
        if self.said == Some(since) {
            let lasted = since.elapsed().as_secs_f64();
            tracing::info!(
                "connections are accepted again, after {lasted:.1} s; {} attempts failed so far",
                self.refusals
            );
        }
    }
}

/// Closes a listener without losing a connection that the kernel has finished or is about to: newcomers are turned away first,
/// so that one cannot slip in between the last look and the close, to be reset there.
async fn close(listener: AsyncFd<TcpListener>, host: &impl Host) {
    // The bare listener, since the runtime may not have heard yet of what waits.
    let listener = listener.into_inner();
    if let Err(error) = turn_newcomers_away(&listener) {
        tracing::debug!("newcomers are not turned away before the listener closes: {error}");
    }
    take_backlog(&listener, host).await;
    tokio::time::sleep(HANDSHAKE).await;
    take_backlog(&listener, host).await;
}

/// Waits while a host cannot even refuse.
async fn until_ready(host: &impl Host) {
    while !host.is_ready() {
        tokio::time::sleep(QUEUE_REST).await;
    }
}

/// Drops every SYN that comes to the listener, by a filter of classic BPF (socket(7), `SO_ATTACH_FILTER`). A client that is turned
/// away tries again after a second and is then refused, or accepted by the next service on this port.
#[cfg(target_os = "linux")]
fn turn_newcomers_away(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const TCP_FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, TCP_FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

/// Other systems have no such filter.
#[cfg(not(target_os = "linux"))]
fn turn_newcomers_away(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Connections that the kernel has finished are ours already: they are served, not refused, while there are places.
async fn take_backlog(listener: &TcpListener, host: &impl Host) {
    let mut attempts = LAST_ATTEMPTS;
    while attempts > 0 {
        until_ready(host).await;
        match accept_one(listener) {
            Ok(socket) => hand_on(host, socket).await,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // Connections are ending, and descriptors come back.
            Err(_) => {
                host.note_accept_error();
                attempts -= 1;
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// One connection, non-blocking and closed on exec (accept4(2)).
#[cfg(target_os = "linux")]
fn accept_one(listener: &TcpListener) -> io::Result<OwnedFd> {
    use rustix::net::SocketFlags;
    Ok(rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?)
}

/// The same in two steps.
#[cfg(not(target_os = "linux"))]
fn accept_one(listener: &TcpListener) -> io::Result<OwnedFd> {
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok(stream.into())
}

/// Errors that accept(2) passes on from the connection it would have returned, and a firewall's refusal of it.
fn is_of_one_connection(error: &io::Error) -> bool {
    const OF_ONE: &[Errno] = &[
        Errno::CONNABORTED,
        Errno::CONNREFUSED,
        Errno::CONNRESET,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::INTR,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::NOPROTOOPT,
        Errno::OPNOTSUPP,
        Errno::PERM,
        Errno::PROTO,
        Errno::TIMEDOUT,
        #[cfg(target_os = "linux")]
        Errno::NONET,
    ];
    Errno::from_io_error(error).is_some_and(|errno| OF_ONE.contains(&errno))
}
