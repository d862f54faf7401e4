//! Exclusive dispatch: a database connection to itself for each request, as a pool gives it.
//!
//! The textbook pool, kept because the 3-to-6 rule is about it. It costs 1.8 times on single-query routes, for each request
//! waits out a whole round trip before the next may use the connection.
//!
//! **Invariant:** a connection goes back to the pool only when all its answers have come; any other end closes it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use deadpool_postgres::{Object, Pool, PoolError};
use rand::rngs::SmallRng;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::error::Error;
use super::pool::{PoolSettings, describe_failure};
use super::reach::{Backoff, Reach};
use super::statements::Statements;

/// Requests that wait for a checkout at the most; past it they are refused at once.
const MOST_WAITING: usize = 16_384;

/// A worker's pool, used one request at a time.
pub(super) struct Exclusive {
    pool: Pool,
    settings: PoolSettings,
    reach: Arc<Reach>,
    random: RefCell<SmallRng>,
    backoff: RefCell<Backoff>,
    /// After a failed attempt: when the next may be made.
    retry_at: Cell<Option<Instant>>,
}

/// One database connection for one request.
pub(super) struct Checkout {
    object: Option<Object>,
    statements: Statements,
}

impl Exclusive {
    pub(super) fn new(
        settings: PoolSettings,
        reach: Arc<Reach>,
        random: SmallRng,
    ) -> Result<Self, deadpool_postgres::BuildError> {
        let (pool, _) = super::pool::build(&settings, &reach)?;
        Ok(Self {
            pool,
            settings,
            reach,
            random: RefCell::new(random),
            backoff: RefCell::new(Backoff::new()),
            retry_at: Cell::new(None),
        })
    }

    /// Waits for a connection until the deadline.
    pub(super) async fn check_out(&self, deadline: Instant) -> Result<Checkout, Error> {
        if self.retry_at.get().is_some_and(|at| Instant::now() < at) {
            return Err(Error::Unreached);
        }
        if self.pool.status().waiting >= MOST_WAITING {
            return Err(Error::Overloaded);
        }
        let object = match tokio::time::timeout_at(deadline, self.pool.get()).await {
            Err(_) | Ok(Err(PoolError::Timeout(deadpool_postgres::TimeoutType::Wait))) => {
                return Err(Error::Deadline);
            }
            Ok(Err(error)) => return Err(self.note_failure(&error)),
            Ok(Ok(object)) => object,
        };
        let mut checkout = Checkout { object: Some(object), statements: Statements::Unnamed };
        let prepared = Statements::prepare(checkout.object()?, self.settings.statements);
        let prepared = tokio::time::timeout_at(deadline, prepared).await;
        checkout.statements = prepared.map_err(|_| Error::Deadline)??;
        if self.retry_at.take().is_some() {
            *self.backoff.borrow_mut() = Backoff::new();
        }
        self.reach.reached();
        Ok(checkout)
    }

    fn note_failure(&self, error: &PoolError) -> Error {
        if self.pool.status().size == 0 {
            let wait = self.backoff.borrow_mut().next(&mut self.random.borrow_mut(), Backoff::MOST);
            self.retry_at.set(Some(Instant::now() + wait));
            self.reach.lost(&describe_failure(error));
        } else {
            self.reach.short(&describe_failure(error));
        }
        Error::Unreached
    }
}

impl Checkout {
    fn object(&self) -> Result<&Object, Error> {
        self.object.as_ref().ok_or(Error::Lost)
    }

    /// The connection to send on.
    pub(super) fn client(&self) -> Result<&Client, Error> {
        self.object().map(|object| &***object)
    }

    /// Its statements.
    pub(super) fn statements(&self) -> &Statements {
        &self.statements
    }

    /// All answers have come: the connection goes back to the pool.
    pub(super) fn finish(mut self) {
        drop(self.object.take());
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            // An answer may still be pending on it.
            drop(Object::take(object));
        }
    }
}
