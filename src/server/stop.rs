//! How workers are told to stop, and the phases of a stop.
//!
//! **Invariant:** phases only go forward.

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
