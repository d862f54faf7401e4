//! Holds requests for the database back while somebody has asked for it.
//!
//! **Invariant:** once it was told to shut, no request passes; while it is open it costs a request a look at a flag and a number; while it is shut what waits is bounded by the queue of those
//! that wait for a connection, and by each request's deadline.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::error::Error;
use super::queue::Queue;

/// A worker's gate before its database connections.
#[derive(Debug)]
pub(super) struct Gate {
    is_shut: Cell<bool>,
    /// What it is told, as far as [`Gate::follow`] has heard it.
    told: RefCell<watch::Receiver<bool>>,
    opened: Notify,
}

impl Gate {
    /// A gate that is told by this.
    pub(super) fn new(told: watch::Receiver<bool>) -> Self {
        Self { is_shut: Cell::new(false), told: RefCell::new(told), opened: Notify::new() }
    }

    /// Whether requests are held back. A request may be read in the same turn in which the gate is told, before it has heard it.
    pub(super) fn is_shut(&self) -> bool {
        let told = self.told.borrow();
        if told.has_changed().unwrap_or(false) { *told.borrow() } else { self.is_shut.get() }
    }

    /// Waits in the queue until it is open, or until the deadline.
    pub(super) async fn pass(&self, queue: &Queue, deadline: Instant) -> Result<(), Error> {
        let _waiting = queue.join_held_back()?;
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
            *self.told.borrow_mut() = shut.clone();
            if !self.is_shut() {
                self.opened.notify_waiters();
            }
            if shut.changed().await.is_err() {
                return;
            }
        }
    }
}
