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
    take_backlog(listener, &worker);
}

/// Connections that the kernel has finished are ours already: they are served, not refused.
fn take_backlog(listener: TcpListener, worker: &Rc<Worker>) {
    // The bare listener, since the runtime may not have heard yet of what waits.
    let Ok(listener) = listener.into_std() else { return };
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
