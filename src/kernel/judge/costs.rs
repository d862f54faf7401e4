//! What connections cost in memory, and the constants behind it.
//!
//! **Invariant:** every constant says where it comes from; a bound on the number of connections is found by the same
//! arithmetic as the need of a number of them.

use super::{Processes, Question};
use crate::kernel::facts::Facts;
use crate::kernel::sysctl::Sysctl;

/// The kernel's memory for one end of an idle TCP connection: 10.3 GB of slab were measured for a million connections with
/// both ends on one machine (Linux 6.18, `x86_64`). `TCP` takes 2.31 KiB of it, `sock_inode_cache` 0.81, `filp` 0.19, `dentry`
/// 0.19; the rest is its place in an epoll set, the client's port, and security labels.
pub const KERNEL_BYTES_PER_END: u64 = 5_150;

/// One entry of connection tracking where the firewall's module is loaded: the object size of `nf_conntrack`.
pub const TRACKING_BYTES: u64 = 256;

/// Our own memory for a parked connection: the bound that the service is built to stay under. 200 to 500 bytes were measured
/// (`docs/decisions/0012-parked-connections-without-a-task.md`).
pub const USER_BYTES_PER_CONNECTION: u64 = 1_100;

/// What a process costs before its first connection: 12.4 MiB of anonymous memory were measured for `plimsoll serve` with one
/// worker that has answered from a database, rounded up for its backend in PostgreSQL.
pub const PROCESS_BYTES: u64 = 16 << 20;

/// Memory that is left alone: the kernel's own reserve, page tables, and whatever else runs.
pub const SPARE_BYTES: u64 = 256 << 20;

/// More connections than any machine holds: where the search for a bound ends.
const MOST_CONNECTIONS: u64 = 1 << 40;

/// What the connections of a question cost in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryCost {
    /// The kernel's part for each connection, both ends where both are here.
    pub kernel_bytes_per_connection: u64,
    /// The processes' part for each connection, both ends where both are here.
    pub user_bytes_per_connection: u64,
    /// Processes, those of the clients too where they are here.
    pub processes: u64,
    /// All of it, with what is left alone.
    pub total_bytes: u64,
}

impl MemoryCost {
    /// The cost of the question's connections.
    pub fn of(facts: &Facts, question: &Question) -> Self {
        let ends = question.clients.ends();
        // Both ends on one machine are one flow to the firewall.
        let tracking = if facts.sysctls.contains_key(&Sysctl::ConntrackMax) { TRACKING_BYTES } else { 0 };
        let kernel = ends * KERNEL_BYTES_PER_END + tracking;
        // What holds a client's end is taken to cost as much as what holds ours.
        let user = ends * USER_BYTES_PER_CONNECTION;
        let processes = ends * Processes::of(facts, question).count;
        let connections = question.connections.saturating_mul(kernel + user);
        Self {
            kernel_bytes_per_connection: kernel,
            user_bytes_per_connection: user,
            processes,
            total_bytes: connections
                .saturating_add(processes.saturating_mul(PROCESS_BYTES))
                .saturating_add(SPARE_BYTES),
        }
    }
}

/// The most connections for which `fits` holds, which should go on holding for fewer. Where it does not, as a second process may want
/// more of something than a third, it is a number on the question's own side: at or above what is asked where that fits, else below.
pub(super) fn most_connections(question: &Question, fits: impl Fn(&Question) -> bool) -> u64 {
    let (mut fitting, mut too_many) =
        if fits(question) { (question.connections, MOST_CONNECTIONS) } else { (0, question.connections) };
    while too_many.saturating_sub(fitting) > 1 {
        let middle = fitting.midpoint(too_many);
        if fits(&Question { connections: middle, ..*question }) {
            fitting = middle;
        } else {
            too_many = middle;
        }
    }
    fitting
}
