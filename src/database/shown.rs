//! What others see of a pool for exclusive checkouts, and what its connections and its owner both know.
//!
//! **Invariant:** the gauges say what the pool says, whenever a connection has come or gone.

use std::cell::Cell;
use std::sync::Arc;

use deadpool_postgres::Pool;
use futures_util::FutureExt as _;
use tokio::sync::Notify;

use super::reach::Member;
use super::replaced::Replaced;
use crate::telemetry::counters::WorkerCounters;

/// What others see of the pool.
pub(super) struct Shown {
    pub(super) counters: Arc<WorkerCounters>,
    /// Connections that requests have.
    pub(super) in_use: Cell<u32>,
    /// How often all connections were given up for new ones.
    pub(super) renewals: Cell<u32>,
    pub(super) replaced: Replaced,
    pub(super) reach: Member,
    /// Wakes the task that waits before it opens another connection, when there is none left.
    pub(super) alone: Notify,
}

impl Shown {
    /// A request has one more.
    pub(super) fn take_one(&self) {
        let pool = &self.counters.pool;
        if let Some(lane) = pool.lanes.get(self.in_use.get() as usize) {
            lane.set(1);
        }
        self.in_use.set(self.in_use.get() + 1);
        pool.available.set(pool.size.read().saturating_sub(self.in_use.get()));
    }

    /// A request has one less.
    pub(super) fn give_back(&self) {
        let pool = &self.counters.pool;
        self.in_use.set(self.in_use.get() - 1);
        if let Some(lane) = pool.lanes.get(self.in_use.get() as usize) {
            lane.set(0);
        }
        pool.available.set(pool.size.read().saturating_sub(self.in_use.get()));
    }

    /// Takes connections that have ended while nobody used them out of the pool.
    pub(super) fn forget_closed(&self, pool: &Pool) {
        if !pool.retain(|client, _| !client.is_closed()).removed.is_empty() {
            self.note_end(pool);
        }
    }

    /// A connection has ended.
    pub(super) fn note_end(&self, pool: &Pool) {
        if self.set_size(pool) == 0 {
            self.reach.end();
            self.alone.notify_one();
        }
    }

    /// Waits until there is no connection left, from now on: that there was none before the last attempt says nothing.
    pub(super) async fn until_alone(&self) {
        let _ = self.alone.notified().now_or_never();
        self.alone.notified().await;
    }

    /// Looks how many connections there are, after one came or went; gives their number.
    pub(super) fn set_size(&self, pool: &Pool) -> u32 {
        let size = u32::try_from(pool.status().size).unwrap_or(u32::MAX);
        let gauges = &self.counters.pool;
        gauges.size.set(size);
        gauges.available.set(size.saturating_sub(self.in_use.get()));
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::reach::Reach;

    #[test]
    fn that_there_was_no_connection_before_a_wait_does_not_end_it() {
        let shown = Shown {
            counters: Arc::default(),
            in_use: Cell::default(),
            renewals: Cell::default(),
            replaced: Replaced::default(),
            reach: Arc::new(Reach::default()).member(),
            alone: Notify::new(),
        };
        shown.alone.notify_one();
        let mut waiting = Box::pin(shown.until_alone());
        assert!((&mut waiting).now_or_never().is_none());
        shown.alone.notify_one();
        assert!(waiting.now_or_never().is_some());
    }
}
