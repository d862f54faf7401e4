//! Start and stop: what is promised to clients and to whoever sends the signal.
//!
//! **Invariant:** not one request that was sent on an open connection goes unanswered in a drain.

mod backlog;
mod drain;
mod hurry;
mod load;
mod output;
mod private;
mod terminal;

use std::net::SocketAddr;

use crate::harness::{Client, PATIENCE, wait_until};

/// Waits until nobody takes new connections: the signal has been noticed and the listeners are closed.
fn wait_until_refused(address: SocketAddr) {
    wait_until("the listeners to close", PATIENCE, || Client::try_connect(address).is_err().then_some(()));
}
