//! Where a request that only reads is asked: a replica while one is in use, else the primary, or nobody.
//!
//! A read changes nothing, so that one whose replica was lost under it is asked again elsewhere, within its deadline; a write never is.
//! docs/decisions/0019 says why.
//!
//! **Invariant:** where no replicas are named this costs a request one branch, and where they are, a number more; a read is asked three
//! times at the most.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_postgres::Client;

use super::Database;
use super::error::Error;
use super::lanes::Work;
use super::pool::PoolSettings;
use super::replicas::Fleet;
use super::session::Access;
use super::statements::Statements;
use crate::telemetry::counters::WorkerCounters;

/// A worker's side of the replicas.
pub(super) struct Reads {
    access: Access,
    fleet: Arc<Fleet>,
}

impl Reads {
    /// Makes the worker's pool for reads, which counts beside the other.
    pub(super) fn start(
        settings: PoolSettings,
        counters: &WorkerCounters,
        start: impl FnOnce(PoolSettings, Arc<WorkerCounters>) -> Result<Access, String>,
    ) -> Result<Self, String> {
        let Some(fleet) = settings.reads.clone() else { return Err("no replicas are named".into()) };
        let own = Arc::clone(counters.reads.get_or_init(Arc::default));
        own.pool.clear();
        let access = start(settings, own)?;
        access.follow(&fleet);
        Ok(Self { access, fleet })
    }

    /// Ends all connections; for when the worker ends.
    pub(super) fn close(&self) {
        self.access.close();
    }
}

impl Database {
    /// Who is to be asked for what is only read.
    fn reader(&self) -> Result<&Access, Error> {
        match &self.reads {
            Some(reads) if reads.fleet.is_in_use() => Ok(&reads.access),
            Some(reads) if reads.fleet.is_for_replicas_only() => Err(Error::NoReplica),
            None | Some(_) => Ok(&self.access),
        }
    }

    /// Runs `ask`, which only reads, on a place of its own.
    pub(super) async fn ask_a_reader<T>(
        &self,
        work: Work,
        queries: u32,
        deadline: Instant,
        ask: impl AsyncFn(&Client, &Statements) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let reader = self.reader().inspect_err(|error| self.access.note_failure(work, error))?;
        match reader.attempt(work, queries, deadline, None, &ask).await {
            Ok(answer) => Ok(answer),
            Err(error) if self.reads.is_none() => {
                reader.note_failure(work, &error);
                Err(error)
            }
            Err(error) => Box::pin(self.ask_again(error, reader, work, queries, deadline, ask)).await,
        }
    }

    /// A read failed: asks again where that may help.
    #[cold]
    async fn ask_again<T>(
        &self,
        mut error: Error,
        mut asked: &Access,
        work: Work,
        queries: u32,
        deadline: Instant,
        ask: impl AsyncFn(&Client, &Statements) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(reads) = &self.reads else {
            asked.note_failure(work, &error);
            return Err(error);
        };
        for is_last in [false, true] {
            let was_a_replica = std::ptr::eq(asked, &raw const reads.access);
            if !was_a_replica || !error.is_of_one_replica() || Instant::now() >= deadline {
                break;
            }
            let none_has_room = matches!(error, Error::Unreached);
            asked = match self.reader() {
                // None gives a session, or two have been lost: the primary is asked.
                Ok(_) if !reads.fleet.is_for_replicas_only() && (is_last || none_has_room) => &self.access,
                Ok(reader) => reader,
                Err(none) => {
                    error = none;
                    break;
                }
            };
            tracing::debug!("a read is asked again: {error}");
            match asked.attempt(work, queries, deadline, Some(Instant::now()), &ask).await {
                Ok(answer) => return Ok(answer),
                Err(another) => error = another,
            }
        }
        asked.note_failure(work, &error);
        Err(error)
    }
}
