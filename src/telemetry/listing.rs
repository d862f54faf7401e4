//! Which connections there are: counted by peer, state and age, with a sample of them, for a filter.
//!
//! **Invariant:** an answer stays small however many connections there are: peers past [`MOST_PEERS`] are counted together, and no
//! more rows than asked for are carried.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::by::By;
use super::labels::{Age, ConnectionState};

/// Peers that are counted apart in an answer.
pub const MOST_PEERS: usize = 100;
/// The most rows that may be asked for.
pub const MOST_ROWS: u32 = 10_000;

/// Which connections are asked for; a field that is not set does not sort any out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// In this state.
    pub state: Option<ConnectionState>,
    /// Of this address.
    pub peer: Option<IpAddr>,
    /// That nothing has come on for so many seconds.
    pub idle_for_s: Option<u64>,
    /// How many rows to show; a sample spread evenly over those that fit.
    pub rows: u32,
}

/// The connections that fit a filter, of one worker or of all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// How many fit.
    pub count: u64,
    /// How many there are.
    pub open: u64,
    /// How many fit, by their state.
    pub by_state: By<ConnectionState, u64>,
    /// How many fit, by the time since anything came.
    pub by_age: By<Age, u64>,
    /// The peers that have most, with how many.
    pub by_peer: Vec<(IpAddr, u64)>,
    /// Those of other peers.
    pub of_other_peers: u64,
    /// A sample.
    pub rows: Vec<Row>,
    /// Workers that have not answered in time, and are not in the sums.
    pub silent_workers: u32,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The process that has it.
    pub pid: u32,
    /// The worker in it.
    pub worker: u32,
    /// Its client, where the kernel still knows.
    pub peer: Option<SocketAddr>,
    /// What it is doing.
    pub state: ConnectionState,
    /// Seconds since anything came.
    pub idle_s: f64,
    /// Requests answered since it was last woken, where it is served.
    pub requests: Option<u32>,
}
