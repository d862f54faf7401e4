//! Holds requests for the database back while somebody has asked for it.
//!
//! **Invariant:** while it is open it costs a request one look at a flag; while it is shut what waits is bounded by the queue of those
//! that wait for a connection, and by each request's deadline.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::error::Error;
use super::queue::Queue;

/// A worker's gate before its database connections.
#[derive(Debug, Default)]
pub(super) struct Gate {
    is_shut: Cell<bool>,
    opened: Notify,
}

impl Gate {
    /// Whether requests are held back.
    pub(super) fn is_shut(&self) -> bool {
        self.is_shut.get()
    }

    /// Waits in the queue until it is open, or until the deadline.
    pub(super) async fn pass(&self, queue: &Queue, deadline: Instant) -> Result<(), Error> {
        let _waiting = queue.join()?;
        while self.is_shut() {
            // Nothing else runs on this thread between the look and the wait, so that no change is missed.
            tokio::time::timeout_at(deadline, self.opened.notified()).await.map_err(|_| Error::Deadline)?;
        }
        Ok(())
    }

    /// Shuts and opens as it is told; ends when nobody can tell any more.
    pub(super) async fn follow(self: Rc<Self>, mut shut: watch::Receiver<bool>) {
        loop {
            self.is_shut.set(*shut.borrow_and_update());
            if !self.is_shut() {
                self.opened.notify_waiters();
            }
            if shut.changed().await.is_err() {
                return;
            }
        }
    }
}
