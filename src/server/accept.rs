//! Step 2 of 7, accept: takes connections off a listener and starts each on its worker.
//!
//! **Invariant:** the loop ends on a stop and on nothing else. A connection that dies before it is taken is skipped; a full
//! descriptor table makes the loop rest, not stop.
//!
//! Before: [`super::socket`]. After: [`super::worker`].

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::stop::Stop;
use super::worker::Worker;

/// How long to rest when descriptors or memory have run out; connections wait in the backlog meanwhile.
const REST: Duration = Duration::from_millis(50);

/// How long a handshake that has begun may take to end before the listener closes; the client is a round trip away.
const HANDSHAKE: Duration = Duration::from_millis(10);

/// Accepts until told to stop, then takes what waits in the backlog and closes the listener.
pub(super) async fn accept(listener: TcpListener, worker: Rc<Worker>, mut stop: watch::Receiver<Stop>) {
    let mut starved = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop != Stop::Run) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                if std::mem::take(&mut starved) {
                    tracing::info!("connections are accepted again");
                }
                worker.serve(stream);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut starved, true) {
                    tracing::warn!("no connection can be accepted: {error}; resting and trying on");
                }
                tokio::time::sleep(REST).await;
            }
        }
    }
    close(listener, &worker).await;
}

/// Closes a listener without losing a connection that the kernel has finished or is about to: newcomers are turned away first,
/// so that one cannot slip in between the last look and the close, to be reset there.
async fn close(listener: TcpListener, worker: &Rc<Worker>) {
    // The bare listener, since the runtime may not have heard yet of what waits.
    let Ok(listener) = listener.into_std() else { return };
    if let Err(error) = turn_newcomers_away(&listener) {
        tracing::debug!("newcomers are not turned away before the listener closes: {error}");
    }
    take_backlog(&listener, worker);
    tokio::time::sleep(HANDSHAKE).await;
    take_backlog(&listener, worker);
}

/// Drops every SYN that comes to the listener, by a filter of classic BPF (socket(7), `SO_ATTACH_FILTER`). A client that is turned
/// away tries again after a second and is then refused, or accepted by the next service on this port.
#[cfg(target_os = "linux")]
fn turn_newcomers_away(listener: &std::net::TcpListener) -> io::Result<()> {
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
fn turn_newcomers_away(_: &std::net::TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Connections that the kernel has finished are ours already: they are served, not refused.
fn take_backlog(listener: &std::net::TcpListener, worker: &Rc<Worker>) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                if stream.set_nonblocking(true).is_ok()
                    && let Ok(stream) = TcpStream::from_std(stream)
                {
                    worker.serve(stream);
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => return,
        }
    }
}

/// Errors that accept(2) passes on from the connection it would have returned.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | TimedOut
    )
}
