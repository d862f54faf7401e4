//! Start and stop: what is promised to clients and to whoever sends the signal.
//!
//! **Invariant:** not one request that was sent on an open connection goes unanswered in a drain.

mod backlog;
mod drain;
mod hurry;
pub(crate) mod load;
mod output;
mod private;
mod terminal;

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::{PATIENCE, wait_until};

/// Waits until nobody takes new connections: the signal has been noticed and the listeners are closed.
fn wait_until_refused(address: SocketAddr) {
    // A SYN that is dropped rather than refused is no new connection either, and would be sent again only a second later.
    let refused = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_err();
    wait_until("the listeners to close", PATIENCE, || refused().then_some(()));
}
