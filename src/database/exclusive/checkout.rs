//! A connection while a request has it, and what becomes of it then.
//!
//! **Invariant:** it goes back to the pool only when all its answers have come; any other end closes it.

use std::rc::Rc;

use deadpool_postgres::{Object, Pool};
use tokio::time::Instant;
use tokio_postgres::Client;

use super::super::error::Error;
use super::super::lanes::Works;
use super::super::lines::Lines;
use super::super::places::Place;
use super::super::shown::Shown;
use super::super::statements::Statements;
use crate::config::database::Statements as Mode;

/// One database connection for one request.
pub(in crate::database) struct Checkout {
    pub(super) object: Option<Object>,
    pub(super) statements: Statements,
    pub(super) pool: Pool,
    pub(super) lines: Rc<Lines>,
    pub(super) shown: Rc<Shown>,
    /// The renewals that there had been when it was taken.
    pub(super) renewals: u32,
    /// Given up after the connection, when the fields are dropped; whoever opens one for others has none.
    pub(super) place: Option<Place>,
}

impl Checkout {
    pub(super) fn object(&self) -> Result<&Object, Error> {
        self.object.as_ref().ok_or(Error::Lost)
    }

    /// Prepares its statements, or finds them prepared.
    pub(super) async fn prepare(&self, mode: Mode) -> Result<Statements, Error> {
        let object = self.object()?;
        let is_pooled = self.lines.is_pooled(object);
        Statements::prepare(object, mode, is_pooled, Works::default()).await
    }

    /// The connection to send on.
    pub(in crate::database) fn client(&self) -> Result<&Client, Error> {
        self.object().map(|object| &***object)
    }

    /// Its statements.
    pub(in crate::database) fn statements(&self) -> &Statements {
        &self.statements
    }

    /// A query failed, and the answers to those beside it may be pending: the connection goes back once they have come.
    pub(in crate::database) fn finish_behind_a_barrier(self: Box<Self>, deadline: Instant) {
        tokio::task::spawn_local(async move {
            let Ok(client) = self.client() else { return };
            // An empty query is answered after everything before it; it fails only with the connection itself.
            if let Ok(Ok(_)) = tokio::time::timeout_at(deadline, client.simple_query("")).await {
                self.finish();
            }
        });
    }

    /// Its connection was lost: where that was to a replica, those to the same one that nobody uses are closed.
    pub(in crate::database) fn leave_its_host(&self) {
        if let Some(object) = &self.object {
            self.lines.leave_host_of(object);
        }
    }

    /// All answers have come: the connection goes back to the pool.
    pub(in crate::database) fn finish(mut self) {
        let is_left_out =
            self.object.as_ref().is_some_and(|object| self.lines.give_back(object, self.place.is_some()));
        if is_left_out || self.renewals != self.shown.renewals.get() {
            // Dropped as one that is given up.
            return;
        }
        drop(self.object.take());
        self.shown.give_back();
        let gauges = &self.shown.counters.pool;
        if gauges.size.read() > gauges.max_size.read() {
            // There are to be fewer by now, and it was closed as it came back.
            self.shown.set_size(&self.pool);
        }
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            let line = self.lines.remove(&object);
            if !object.is_closed() {
                self.shown.replaced.given_up();
                // An answer may still be pending on it, and PostgreSQL need not go on with it.
                if let Some(line) = line {
                    line.end(object.cancel_token());
                }
            }
            drop(Object::take(object));
            self.shown.give_back();
            if self.shown.set_size(&self.pool) == 0 {
                self.shown.alone.notify_one();
            }
        }
    }
}
