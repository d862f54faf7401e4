//! A request under way, for the counters.
//!
//! **Invariant:** what has begun is answered or abandoned, and counted once as either.

use crate::telemetry::counters::WorkerCounters;

/// A request that has begun; dropped before its end, it was abandoned: its client left, or its worker ended.
pub(super) struct Underway<'a>(&'a WorkerCounters);

impl<'a> Underway<'a> {
    /// A request begins.
    pub(super) fn begin(counters: &'a WorkerCounters) -> Self {
        counters.begun.note();
        Self(counters)
    }

    /// It has its answer.
    pub(super) fn end(self) {
        // All that its drop would do is to count it as abandoned.
        std::mem::forget(self);
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.abandoned.note();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_or_abandoned() {
        let counters = WorkerCounters::default();
        Underway::begin(&counters).end();
        assert_eq!((counters.begun.read(), counters.abandoned.read()), (1, 0));
        drop(Underway::begin(&counters));
        assert_eq!((counters.begun.read(), counters.abandoned.read()), (2, 1));
    }
}
