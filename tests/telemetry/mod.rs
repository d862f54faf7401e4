//! What a running service says of itself: the admin side, over TCP and by its Unix socket.
//!
//! **Invariant:** what is compared with what was counted elsewhere is compared exactly.

mod changes;
mod counters;
mod doors;
mod health;
mod limits;
mod metrics;
mod pools;
mod several;
mod status;

use std::net::SocketAddr;

use plimsoll::config::admin::Place;
use plimsoll::telemetry::ask::{Answer, ask};
use plimsoll::telemetry::status::Status;

use crate::harness::TestServer;

/// Asks by the Unix socket.
pub(crate) fn by_socket(server: &TestServer, method: &str, path: &str) -> Answer {
    let place = Place::Socket(server.admin_socket());
    ask(&place, method, path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Asks over TCP.
fn by_tcp(address: SocketAddr, method: &str, path: &str) -> Answer {
    let place = Place::Tcp { address, of_port: None };
    ask(&place, method, path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn status(server: &TestServer) -> Status {
    let answer = by_socket(server, "GET", "/status.json");
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}
