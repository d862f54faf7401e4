//! Queues that a burst of new connections passes through.
//!
//! **Invariant:** a queue that is too short loses attempts, which clients repeat after a second; it stops no connection
//! from being held.

use super::{Finding, Question, State};
use crate::kernel::facts::Facts;
use crate::kernel::sysctl::Sysctl;

const IP: &str = "Documentation/networking/ip-sysctl.rst";
const CORE: &str = "Documentation/admin-guide/sysctl/net.rst";

/// One connection in 64 may arrive while the service looks elsewhere: all of them coming back within a second meet a worker
/// that is late by 16 ms.
const BURST_SHARE: u64 = 64;

/// The kernel's own default since Linux 5.4.
const SHORTEST_QUEUE: u64 = 4096;

/// What the service asks for in listen(2).
const LONGEST_QUEUE: u64 = 65_535;

/// The kernel's own default for packets.
const SHORTEST_BACKLOG: u64 = 1000;

pub(super) fn findings(facts: &Facts, question: &Question) -> Vec<Finding> {
    let burst = question.connections.div_ceil(BURST_SHARE);
    let queue = vec![burst.clamp(SHORTEST_QUEUE, LONGEST_QUEUE)];
    let packets = vec![burst.clamp(SHORTEST_BACKLOG, LONGEST_QUEUE)];
    let waiting = "Connections that come in a burst wait here until the service accepts them; past it, attempts are dropped.";
    let shaking = "Connections whose handshake is not finished wait here, in a burst as many as for accept; without SYN \
                   cookies what comes past it is dropped.";
    let arriving = "Packets wait here for their core, all those of the loopback among them; in a burst past it they are dropped.";
    vec![
        Finding::of(facts, Sysctl::Somaxconn, "connections", IP, waiting).at_least(
            Sysctl::Somaxconn,
            queue.clone(),
            State::Short,
        ),
        Finding::of(facts, Sysctl::SynBacklog, "connections", IP, shaking).at_least(
            Sysctl::SynBacklog,
            queue,
            State::Short,
        ),
        Finding::of(facts, Sysctl::NetdevBacklog, "packets", CORE, arriving).at_least(
            Sysctl::NetdevBacklog,
            packets,
            State::Short,
        ),
    ]
}
