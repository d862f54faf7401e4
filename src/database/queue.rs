//! Counts the requests of a worker that wait for a database connection, and refuses too many.
//!
//! **Invariant:** a request is counted out however it stops waiting.

use std::cell::Cell;
use std::sync::Arc;

use super::error::Error;
use crate::telemetry::counters::WorkerCounters;

/// Those who wait.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Cell<u32>,
    /// So many at the most; past it they are refused at once.
    max_waiting: u32,
    counters: Arc<WorkerCounters>,
}

/// One who waits, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Queue);

impl Queue {
    /// An empty queue for so many, whose length the counters show.
    pub(super) fn new(max_waiting: u32, counters: Arc<WorkerCounters>) -> Self {
        Self { waiting: Cell::new(0), max_waiting, counters }
    }

    /// Counts one more in, if there is room.
    pub(super) fn join(&self) -> Result<Waiting<'_>, Error> {
        if self.len() >= self.max_waiting {
            return Err(Error::Overloaded);
        }
        self.set_len(self.len() + 1);
        Ok(Waiting(self))
    }

    /// How many wait.
    pub(super) fn len(&self) -> u32 {
        self.waiting.get()
    }

    fn set_len(&self, waiting: u32) {
        self.waiting.set(waiting);
        self.counters.pool.waiting.set(waiting);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set_len(self.0.len() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_until_one_leaves() {
        let queue = Queue::new(5, Arc::default());
        let mut waiting: Vec<Waiting<'_>> = (0..5).map(|_| queue.join().unwrap()).collect();
        assert!(matches!(queue.join(), Err(Error::Overloaded)));
        waiting.pop();
        assert_eq!(queue.len(), 4);
        assert_eq!(queue.counters.pool.waiting.read(), 4);
        assert!(queue.join().is_ok());
    }
}
