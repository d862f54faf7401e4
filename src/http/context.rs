//! What the handlers of one worker share.
//!
//! **Invariant:** it belongs to one thread. Cells suffice, and no handler ever waits for another worker.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::body::Spare;
use super::date::DateClock;
use super::lab::Lab;
use crate::database::Database;
use crate::telemetry::counters::WorkerCounters;

/// One worker's database, clock and buffers.
pub(crate) struct Context {
    /// Where the rows come from.
    pub(crate) database: Database,
    /// The `Date` of every answer.
    pub(crate) date: DateClock,
    /// What the worker counts.
    pub(crate) counters: Arc<WorkerCounters>,
    /// All waits of one request together.
    pub(crate) request_deadline: Duration,
    /// What the routes of `--lab` need; none where they are not served.
    pub(super) lab: Option<Lab>,
    /// What bodies are rendered into.
    pub(super) spare: Rc<Spare>,
    /// When a failure was logged last; see [`Context::may_log`].
    logged: Cell<Option<Instant>>,
}

impl Context {
    /// A worker's context, before its first request.
    pub(crate) fn new(
        database: Database,
        request_deadline: Duration,
        lab: Option<Lab>,
        counters: Arc<WorkerCounters>,
    ) -> Self {
        Self {
            database,
            counters,
            date: DateClock::new(SystemTime::now()),
            request_deadline,
            lab,
            spare: Rc::default(),
            logged: Cell::new(None),
        }
    }

    /// Whether there is a route that takes a body.
    pub(crate) fn takes_bodies(&self) -> bool {
        self.lab.is_some()
    }

    /// Whether a failed request may be logged now: one line a second for each worker tells the story, more hide it.
    pub(super) fn may_log(&self) -> bool {
        let now = Instant::now();
        let quiet = self.logged.get().is_none_or(|at| now.duration_since(at) >= Duration::from_secs(1));
        if quiet {
            self.logged.set(Some(now));
        }
        quiet
    }
}
