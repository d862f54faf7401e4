//! One `deadpool_postgres` pool for each worker, of the worker's share of the plan.
//!
//! A pool shared across current-thread runtimes would pay a wake across threads for every query.
//!
//! **Invariant:** every wait on the pool has a limit; deadpool's own default is none.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Pool, PoolConfig, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use rand::RngExt as _;
use tokio::sync::watch;
use tokio::time::Instant;

use super::config::Config;
use super::connect::{self, Connector, Ends, Newest};
use super::error;
use super::plan::PoolSize;
use super::reach::{Reach, Trouble};
use super::replicas::Fleet;
use crate::config::database::{Driver, Statements};

/// Addresses of one host name that get their time when the ones before them are silent.
const MOST_ADDRESSES: u32 = 4;

/// So many attempts may fail one after the other, where replicas are in use, before requests stop waiting.
const TRIES_ELSEWHERE: u32 = 3;

/// By what part an age differs between connections at the most, so that those that were opened together are not replaced together.
const AGE_JITTER: f64 = 0.1;

/// What a worker's pool is made from.
#[derive(Debug, Clone)]
pub(crate) struct PoolSettings {
    /// The server, database and user.
    pub(crate) config: Config,
    /// This worker's share of `connections_total`, which a reload may change.
    pub(crate) size: watch::Receiver<PoolSize>,
    /// How long a request may wait for a checkout, and in all.
    pub(crate) wait: Duration,
    /// How many requests of this worker may wait for a connection.
    pub(crate) max_waiting: u32,
    /// Who sends queries.
    pub(crate) driver: Driver,
    /// How statements are sent.
    pub(crate) statements: Statements,
    /// How old a connection may become, give or take a tenth.
    pub(crate) max_age: Option<Duration>,
    /// Where reads go, if not where writes do. A pool that has this opens its connections there.
    pub(crate) reads: Option<Arc<Fleet>>,
}

impl PoolSettings {
    /// Those of a pool for all that is not read elsewhere, and those of a pool for reads where there is one.
    pub(super) fn split(mut self) -> (Self, Option<Self>) {
        let of_reads = |fleet: Arc<Fleet>| {
            let config = fleet.config().clone();
            Self { config, reads: Some(fleet), ..self.clone() }
        };
        let reads = self.reads.clone().map(of_reads);
        self.reads = None;
        (self, reads)
    }

    /// When a connection that is opened now is too old.
    pub(super) fn expiry(&self) -> Option<Instant> {
        let about = rand::rng().random_range(1.0 - AGE_JITTER..=1.0 + AGE_JITTER);
        self.max_age.map(|age| Instant::now() + age.mul_f64(about))
    }

    /// Whether so many attempts that failed one after the other say nothing of the next one: where replicas are in use, the first may
    /// have met one that died a moment ago, and the next goes to another.
    pub(super) fn may_be_elsewhere(&self, failed: u32) -> bool {
        failed < TRIES_ELSEWHERE && self.reads.as_ref().is_some_and(|fleet| fleet.is_in_use())
    }

    /// The size to begin with.
    pub(super) fn first_size(&self) -> u32 {
        self.size.borrow().first()
    }
}

/// Makes the pool; no connection is opened before its first use. Beside it comes what tells of its connections.
pub(super) fn build(
    settings: &PoolSettings,
    reach: &Arc<Reach>,
) -> Result<(Pool, Newest, Ends), deadpool_postgres::BuildError> {
    let connector = Connector::new(settings, Arc::clone(reach));
    let (newest, ends) = (connector.newest(), connector.ends());
    // Fast: a connection is known to be closed without asking the server.
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_connect(settings.config.driver(false), connector, recycling);
    let patience = Some(connect::patience(&settings.config) * MOST_ADDRESSES);
    let timeouts = Timeouts { wait: Some(settings.wait), create: patience, recycle: patience };
    let sizes = PoolConfig { max_size: settings.first_size() as usize, timeouts, ..PoolConfig::default() };
    let pool = Pool::builder(manager).config(sizes).runtime(Runtime::Tokio1).build()?;
    Ok((pool, newest, ends))
}

/// Why the pool gave no connection.
pub(super) fn trouble(error: &PoolError) -> Trouble {
    match error {
        PoolError::Backend(error) => error::trouble(error),
        PoolError::Timeout(_) => Trouble::away("it did not answer in time"),
        other => Trouble::away(other.to_string()),
    }
}
