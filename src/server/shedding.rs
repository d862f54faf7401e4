//! What a worker does while memory is short: it closes connections that hold most for least, and keeps the others small.
//!
//! First those go whose clients are slow, longest first: a part of a request's head, or answers that are not taken. Where that was not
//! enough, idle ones go, if there are so many that they make up for it. Requests that are being answered go on.
//!
//! **Invariant:** no more is closed at once than frees what is missing, by what such connections cost.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::parking;
use super::reception::CROWD;
use super::worker::Worker;
use crate::kernel::judge::costs::KERNEL_BYTES_PER_END;
use crate::telemetry::labels::CloseReason;

/// What a connection holds whose client is slow, at the least: its task, hyper's buffer, half a head.
const SLOW_BYTES: u64 = 24 * 1024;
/// Between two attempts to have freed pages given back to the system.
const POKE_EVERY: Duration = Duration::from_millis(500);

impl Worker {
    /// Frees its part of what is `wanted` of all workers; does not end.
    pub(super) async fn shed(self: Rc<Self>, mut wanted: watch::Receiver<u64>, workers: u64) {
        loop {
            let is_short = *wanted.borrow() > 0;
            let change = wanted.changed();
            let changed = if is_short {
                let Ok(changed) = tokio::time::timeout(POKE_EVERY, change).await else {
                    parking::give_pages_back();
                    continue;
                };
                changed
            } else {
                change.await
            };
            if changed.is_err() {
                // The server is ending.
                return std::future::pending().await;
            }
            let bytes = *wanted.borrow_and_update();
            let is_not_enough = is_short;
            // Idle connections are parked in the turn in which they fall idle.
            self.crowd.set(if bytes > 0 { 0 } else { CROWD });
            if bytes > 0 {
                self.free(bytes / workers.max(1) + 1, is_not_enough).await;
            }
        }
    }

    async fn free(self: &Rc<Self>, bytes: u64, takes_idle: bool) {
        let now = Instant::now();
        let mut slow = Vec::new();
        for (_, connection) in self.connections.borrow().iter() {
            if let Some(since) = connection.slow_since() {
                slow.push((since, Rc::clone(connection)));
            } else if connection.is_idle() {
                connection.wake();
            }
        }
        slow.sort_unstable_by_key(|(since, _)| *since);
        let most = usize::try_from(bytes.div_ceil(SLOW_BYTES)).unwrap_or(usize::MAX);
        let freed = SLOW_BYTES * most.min(slow.len()) as u64;
        for (_, connection) in slow.into_iter().take(most) {
            connection.shed(now);
        }
        let idle = usize::try_from(bytes.saturating_sub(freed) / KERNEL_BYTES_PER_END).unwrap_or(usize::MAX);
        if !takes_idle || self.parking.len() < idle {
            return;
        }
        for _ in 0..idle {
            let Some(spared) = self.take_spare() else { break };
            drop(spared);
            self.context.counters.note_close(CloseReason::Memory);
            tokio::task::coop::consume_budget().await;
        }
        self.tell_if_empty();
    }
}
