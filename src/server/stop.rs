//! How workers are told to stop, and the phases of a stop.
//!
//! **Invariant:** phases only go forward, and a stop comes to its end: [`end_patience`] past its deadline whoever hangs is given up.

use std::time::Duration;

/// How much longer than it was given a stop may take, with next to no connections, before those who have not ended are given up.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// Connections that the kernel closes in a second when their process ends, at the least, whichever processes hold them.
const CLOSED_IN_A_SECOND: u64 = 100_000;

/// The longest patience, where no limit says how many connections there may be.
const LONGEST_END_PATIENCE: Duration = Duration::from_secs(30);

/// How much longer than it was given a stop may take where all processes together hold so many connections.
pub(crate) fn end_patience(connections: u64) -> Duration {
    END_PATIENCE
        .saturating_add(Duration::from_secs(connections / CLOSED_IN_A_SECOND))
        .min(LONGEST_END_PATIENCE)
}

/// How long the threads of a server may take to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct StopLimits {
    /// What a drain is given.
    pub(super) drain_deadline: Duration,
    /// What any stop is given beyond that.
    pub(super) end_patience: Duration,
}

impl StopLimits {
    /// How long they may take from the moment at which they are told so.
    pub(super) fn of(self, stop: Stop) -> Duration {
        let given = if stop == Stop::Now { Duration::ZERO } else { self.drain_deadline };
        given + self.end_patience
    }
}

/// What the workers are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Serve.
    Run,
    /// Leave the listeners to others, who go on accepting from them; answer what runs, then end.
    Retire,
    /// Take what waits in the backlog and close it, answer what runs, then end.
    Drain,
    /// End at once.
    Now,
}

/// Where a worker stands between serving and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Connections are accepted and kept.
    Serving,
    /// Listeners are closed; the next answer on each connection is its last.
    Draining,
    /// The grace is over: idle connections are closed, what runs is finished.
    Closing,
}
