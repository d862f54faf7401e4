//! What the leading process and its parts say to each other: a JSON object on a line.
//!
//! **Invariant:** each order but [`Order::Stop`] is answered by one [`Word::Done`] or [`Word::Failed`], and words of progress before it.

use std::net::IpAddr;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::super::ports::PortRange;
use super::super::schedule::Part;
use super::super::stats::Stats;
use super::super::traffic::Destination;

/// What a part is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Which part it is, and of what; the first order.
    Setup(Box<Assignment>),
    /// Open all connections, so many a second over all parts.
    Open { rate: NonZeroU64, first_request: bool },
    /// Ask over some of them for a while.
    Hold { active: u64, nanoseconds: u64, rate: Option<NonZeroU64> },
    /// Ask each of them once.
    Sweep { depth: u64 },
    /// End what is being done.
    Stop,
}

/// What one part holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Assignment {
    pub(super) part: Part,
    /// Over all parts.
    pub(super) connections: u64,
    pub(super) pipeline: u16,
    pub(super) timeout_ns: u64,
    pub(super) destinations: Vec<Destination>,
    pub(super) sources: Vec<IpAddr>,
    pub(super) ports: PortRange,
}

/// What a part says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// What came since it last said so.
    Progress { opened: u64, answered: u64, failed: u64 },
    /// The order is carried out.
    Done { stats: Box<Stats>, open: u64 },
    /// It cannot be.
    Failed(String),
}
