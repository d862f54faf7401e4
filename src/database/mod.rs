//! Everything that speaks to PostgreSQL: the handlers' questions and the way their queries take.
//!
//! [`plan`] says how many connections there will be. Each worker has a [`Database`] of its own: a `deadpool_postgres` pool
//! ([`pool`]) of its share, used through [`lanes`] (pipelined) or [`exclusive`] checkouts, with one [`session`] for each
//! request. [`steer`] sizes the pool. [`reads`] sends what only reads to
//! [`replicas`]. [`statements`] holds the SQL; [`world`] and [`fortune`] the rows. [`embedded`] runs a private
//! PostgreSQL; [`attendant`] looks on from a session of its own.
//!
//! **Invariant:** `tokio_postgres` and `deadpool_postgres` are used here and nowhere else, and nothing here knows of HTTP.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rand::rngs::SmallRng;
use tokio::sync::watch;
use tokio::time::Instant;

pub mod attendant;
mod backoff;
mod cache;
mod config;
mod connect;
mod dial;
mod direct;
pub mod embedded;
pub mod error;
mod exclusive;
mod failing;
pub mod fill;
pub mod fortune;
mod gate;
mod hosts;
mod lanes;
mod lines;
mod places;
pub mod plan;
mod pool;
mod pooler;
pub mod probe;
mod queue;
mod reach;
mod reads;
mod renewal;
mod replaced;
pub mod replicas;
pub mod schema;
mod session;
mod shown;
mod standing;
mod statements;
mod steer;
pub mod target;
mod tls;
mod turns;
mod wire;
pub mod world;

pub use config::Config;
pub use error::Error;
pub(crate) use plan::PoolSize;
pub(crate) use pool::PoolSettings;
pub(crate) use reach::{News, Reach, Trouble, Word, proclaim};
use tokio_postgres::Client;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use wire::properties::check_answers;

use crate::config::database::Dispatch;
use crate::telemetry::counters::WorkerCounters;
use fortune::FortuneRows;
use lanes::Work;
use reads::Reads;
use renewal::Renewal;
use session::{Access, Way};
use statements::Statements;
use world::World;

/// One worker's side of the database.
pub(crate) struct Database {
    access: Access,
    /// The same for replicas, where there are any.
    reads: Option<Reads>,
    cache: RefCell<cache::WorldCache>,
    random: RefCell<SmallRng>,
}

impl Database {
    /// Makes the worker's pool; must run on the worker's own runtime. Connections are opened when they are first needed, and requests
    /// held back while it is `paused`.
    pub(crate) fn start(
        dispatch: Dispatch,
        settings: PoolSettings,
        reach: &Arc<Reach>,
        paused: &watch::Receiver<bool>,
        counters: Arc<WorkerCounters>,
    ) -> Result<Self, String> {
        let (settings, of_reads) = settings.split();
        let start = |settings, counters| start(dispatch, settings, reach, paused.clone(), counters);
        let reads = of_reads.map(|settings| Reads::start(settings, &counters, start)).transpose()?;
        let access = start(settings, counters)?;
        Ok(Self {
            access,
            reads,
            cache: RefCell::new(cache::WorldCache::new()),
            random: RefCell::new(rand::make_rng()),
        })
    }

    /// A random row of `world`.
    pub(crate) async fn random_world(&self, deadline: Instant) -> Result<World, Error> {
        let id = world::random_number(&mut self.random.borrow_mut());
        let read = async |client: &Client, statements: &Statements| statements.world(client, id).await;
        self.ask_a_reader(Work::Read, 1, deadline, read).await
    }

    /// `count` random rows of `world`, which may repeat.
    pub(crate) async fn random_worlds(&self, count: u16, deadline: Instant) -> Result<Vec<World>, Error> {
        let ids = self.random_numbers(count);
        self.read(&ids, deadline).await
    }

    /// `count` random rows, from the cache where it has them.
    pub(crate) async fn cached_worlds(&self, count: u16, deadline: Instant) -> Result<Vec<World>, Error> {
        let ids = self.random_numbers(count);
        let (mut worlds, missing) = self.cache.borrow().look_up(&ids);
        if !missing.is_empty() {
            let read = self.read(&missing, deadline).await?;
            self.cache.borrow_mut().keep(&read);
            worlds.extend(read);
        }
        Ok(worlds)
    }

    /// Reads `count` distinct random rows, gives each a new number, writes them, and returns what was written.
    pub(crate) async fn update_worlds(&self, count: u16, deadline: Instant) -> Result<Vec<World>, Error> {
        let (ids, numbers) = {
            let mut random = self.random.borrow_mut();
            let ids = world::distinct_ids(&mut random, count.into());
            let numbers: Vec<i32> = ids.iter().map(|_| world::random_number(&mut random)).collect();
            (ids, numbers)
        };
        let queries = u32::from(count) + 1;
        self.access
            .run(Work::Write, queries, deadline, async |client, statements| {
                let mut worlds = statements.worlds(client, &ids).await?;
                statements.update_worlds(client, &ids, &numbers).await?;
                for (world, number) in worlds.iter_mut().zip(&numbers) {
                    world.random_number = *number;
                }
                Ok(worlds)
            })
            .await
    }

    /// All rows of `fortune`.
    pub(crate) async fn fortunes(&self, deadline: Instant) -> Result<FortuneRows, Error> {
        let read = async |client: &Client, statements: &Statements| statements.fortunes(client).await;
        self.ask_a_reader(Work::Fortunes, 1, deadline, read).await
    }

    /// Ends all connections; for when the worker ends.
    pub(crate) fn close(&self) {
        self.access.close();
        if let Some(reads) = &self.reads {
            reads.close();
        }
    }

    async fn read(&self, ids: &[i32], deadline: Instant) -> Result<Vec<World>, Error> {
        // At most 500 by the route's rule.
        let queries = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let read = async |client: &Client, statements: &Statements| statements.worlds(client, ids).await;
        self.ask_a_reader(Work::Read, queries, deadline, read).await
    }

    fn random_numbers(&self, count: u16) -> Vec<i32> {
        let mut random = self.random.borrow_mut();
        (0..count).map(|_| world::random_number(&mut random)).collect()
    }
}

/// Makes a pool and what sizes it.
fn start(
    dispatch: Dispatch,
    settings: PoolSettings,
    reach: &Arc<Reach>,
    paused: watch::Receiver<bool>,
    counters: Arc<WorkerCounters>,
) -> Result<Access, String> {
    let (sizes, patience) = (settings.size.clone(), settings.wait);
    let renewal = Renewal::new(&settings.config);
    let shown = Arc::clone(&counters);
    // How replicas are reached says nothing of the database that is written to; what they refuse, they both do.
    let fleet = settings.reads.clone();
    let members = fleet.as_ref().map_or(reach, |fleet| fleet.reach());
    let way = match dispatch {
        Dispatch::Pipelined => {
            lanes::Lanes::start(settings, members, rand::make_rng(), shown).map(Way::Pipelined)
        }
        Dispatch::Exclusive => exclusive::Exclusive::start(settings, members, rand::make_rng(), shown)
            .map(|pool| Way::Exclusive(Rc::new(pool))),
    };
    let way = way.map_err(|error| format!("the database pool cannot be made: {error}"))?;
    let access = Access::start(way, paused, patience, renewal, Arc::clone(reach), counters);
    tokio::task::spawn_local(steer::steer(access.clone(), sizes));
    Ok(access)
}

#[cfg(test)]
mod stand_in;
