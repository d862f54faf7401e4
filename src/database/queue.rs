//! Counts the requests of a worker that wait for a database connection, and refuses too many: more than `--max-waiting`, and where the
//! pace at which they are served is watched ([`watch`]), more than are served within half of their patience.
//!
//! **Invariant:** a request is counted out however it stops waiting.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::error::Error;
use crate::telemetry::counters::WorkerCounters;
use crate::tuning::backlog::{self, Backlog};

/// How often a queue is looked at while anybody waits.
const TICK: Duration = Duration::from_millis(50);

/// Those who wait.
#[derive(Debug)]
pub(super) struct Queue {
    since: RefCell<Slab<Instant>>,
    /// Who is held back, and waits for nothing that is served.
    held_back: Cell<u32>,
    /// So many at the most; past it they are refused at once.
    max_waiting: u32,
    /// How many may wait now.
    most: Cell<u32>,
    /// Who was served since the last look.
    served: Cell<u32>,
    /// Wakes whoever watches, when the first one waits.
    occupied: Notify,
    counters: Arc<WorkerCounters>,
}

/// One who waits, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    queue: &'a Queue,
    key: usize,
}

/// One who is held back, until it is dropped.
#[derive(Debug)]
pub(super) struct HeldBack<'a>(&'a Queue);

impl Queue {
    /// An empty queue for so many, whose length the counters show.
    pub(super) fn new(max_waiting: u32, counters: Arc<WorkerCounters>) -> Self {
        Self {
            since: RefCell::default(),
            held_back: Cell::new(0),
            max_waiting,
            most: Cell::new(max_waiting),
            served: Cell::new(0),
            occupied: Notify::new(),
            counters,
        }
    }

    /// Counts one more in, if there is room.
    pub(super) fn join(&self) -> Result<Waiting<'_>, Error> {
        let in_line = self.in_line();
        if in_line >= self.most.get() || self.len() >= self.max_waiting {
            return Err(Error::Overloaded);
        }
        if in_line == 0 {
            self.occupied.notify_one();
        }
        let key = self.since.borrow_mut().insert(Instant::now());
        self.show();
        Ok(Waiting { queue: self, key })
    }

    /// Counts one in that is held back, if there is room.
    pub(super) fn join_held_back(&self) -> Result<HeldBack<'_>, Error> {
        if self.len() >= self.max_waiting {
            return Err(Error::Overloaded);
        }
        self.held_back.update(|waiting| waiting + 1);
        self.show();
        Ok(HeldBack(self))
    }

    /// How many wait.
    pub(super) fn len(&self) -> u32 {
        self.in_line().saturating_add(self.held_back.get())
    }

    fn in_line(&self) -> u32 {
        u32::try_from(self.since.borrow().len()).unwrap_or(u32::MAX)
    }

    fn show(&self) {
        self.counters.pool.waiting.set(self.len());
    }

    /// For how long the first of those has waited who wait now.
    fn oldest(&self, now: Instant) -> Option<Duration> {
        self.since.borrow().iter().map(|(_, since)| now.duration_since(*since)).max()
    }
}

impl Waiting<'_> {
    /// It waited long enough, and was served.
    pub(super) fn end(self) {
        self.queue.served.update(|served| served.saturating_add(1));
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.since.borrow_mut().remove(self.key);
        self.queue.show();
    }
}

impl Drop for HeldBack<'_> {
    fn drop(&mut self) {
        self.0.held_back.update(|waiting| waiting - 1);
        self.0.show();
    }
}

/// Keeps a queue as short as requests of this patience need it to be, until the worker's runtime ends.
pub(super) async fn watch(queue: Rc<Queue>, patience: Duration) {
    loop {
        queue.occupied.notified().await;
        let (mut backlog, mut looked) = (Backlog::default(), Instant::now());
        queue.served.set(0);
        loop {
            tokio::time::sleep(TICK).await;
            let now = Instant::now();
            let (served, within) =
                (queue.served.take(), now.duration_since(std::mem::replace(&mut looked, now)));
            let Some(oldest) = queue.oldest(now) else { break };
            if backlog::stands(oldest, patience) {
                backlog.note(served, within);
            } else {
                backlog = Backlog::default();
            }
            let most = backlog.pace().map_or(queue.max_waiting, |pace| backlog::most(pace, patience));
            queue.most.set(most.min(queue.max_waiting));
        }
        queue.most.set(queue.max_waiting);
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

    #[tokio::test]
    async fn a_queue_that_is_watched_is_no_longer_than_its_pace_allows() {
        let patience = Duration::from_secs(3);
        let queue = Rc::new(Queue::new(16_384, Arc::default()));
        let mut watched = Box::pin(watch(Rc::clone(&queue), patience));
        let mut waiting: std::collections::VecDeque<_> = (0..1_000).map(|_| queue.join().unwrap()).collect();
        // 100 a second are served at the most, so that 150 are in half of three seconds.
        for _ in 0..12 {
            for _ in 0..5 {
                waiting.pop_front().unwrap().end();
            }
            assert!(tokio::time::timeout(TICK, &mut watched).await.is_err());
        }
        assert!(matches!(queue.join(), Err(Error::Overloaded)), "{} wait", queue.len());
        waiting.truncate(5);
        assert!(queue.join().is_ok());
        // Without a queue nothing is known of it.
        waiting.clear();
        assert!(tokio::time::timeout(2 * TICK, &mut watched).await.is_err());
        let all: Vec<Waiting<'_>> = (0..1_000).map(|_| queue.join().unwrap()).collect();
        assert_eq!(all.len(), 1_000);
    }
}
