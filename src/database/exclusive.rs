//! Exclusive dispatch: a database connection to itself for each request, as a pool gives it.
//!
//! The textbook pool, kept because the 3-to-6 rule is about it. It costs more on single-query routes, for each request
//! waits out a whole round trip before the next may use the connection.
//!
//! **Invariant:** a connection goes back to the pool only when all its answers have come; any other end closes it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, ObjectId, Pool, PoolError, TimeoutType};
use rand::rngs::SmallRng;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::backoff::Backoff;
use super::connect::{Ends, Line, Newest};
use super::error::Error;
use super::lanes::Works;
use super::places::{Place, Places};
use super::pool::{self, PoolSettings};
use super::queue::{self, Queue};
use super::reach::{Member, Reach, Trouble};
use super::replaced::Replaced;
use super::statements::Statements;
use crate::telemetry::counters::WorkerCounters;

/// The part of a request's patience that is kept for its queries: begun later it would take its connection with it at its deadline.
const KEPT_FOR_WORK: u32 = 8;

/// A worker's pool, used one request at a time.
pub(super) struct Exclusive {
    pool: Pool,
    newest: Newest,
    lines: Rc<Lines>,
    settings: PoolSettings,
    /// As many as the pool may have connections; whoever asks the pool has one.
    places: Rc<Places>,
    random: RefCell<SmallRng>,
    backoff: RefCell<Backoff>,
    /// After a failed attempt at one more connection: when the next may be made.
    retry_at: Cell<Option<Instant>>,
    /// Whether somebody is at that next attempt: there is one at a time until one succeeds.
    attempting: Cell<bool>,
    queue: Rc<Queue>,
    shown: Rc<Shown>,
}

/// The lines of the pool's connections, to cancel what runs on them.
type Lines = RefCell<HashMap<ObjectId, Line>>;

/// What others see of the pool.
struct Shown {
    counters: Arc<WorkerCounters>,
    /// Connections that requests have.
    in_use: Cell<u32>,
    /// How often all connections were given up for new ones.
    renewals: Cell<u32>,
    replaced: Replaced,
    reach: Member,
}

/// One database connection for one request.
pub(super) struct Checkout {
    object: Option<Object>,
    statements: Statements,
    pool: Pool,
    lines: Rc<Lines>,
    shown: Rc<Shown>,
    /// The renewals that there had been when it was taken.
    renewals: u32,
    /// Given up after the connection, when the fields are dropped.
    _place: Place,
}

impl Exclusive {
    /// Makes the pool and follows its connections' ends; no connection is opened yet.
    pub(super) fn start(
        settings: PoolSettings,
        reach: &Arc<Reach>,
        random: SmallRng,
        counters: Arc<WorkerCounters>,
    ) -> Result<Self, deadpool_postgres::BuildError> {
        let (pool, newest, ends) = super::pool::build(&settings, reach)?;
        counters.pool.max_size.set(settings.first_size());
        let shown = Rc::new(Shown {
            reach: reach.member(),
            counters: Arc::clone(&counters),
            in_use: Cell::new(0),
            renewals: Cell::new(0),
            replaced: Replaced::default(),
        });
        tokio::task::spawn_local(forget_closed(ends, pool.clone(), Rc::clone(&shown)));
        let queue = Rc::new(Queue::new(settings.max_waiting, counters));
        tokio::task::spawn_local(queue::watch(Rc::clone(&queue), settings.wait));
        Ok(Self {
            pool,
            newest,
            lines: Rc::default(),
            places: Places::new(settings.first_size() as usize),
            settings,
            random: RefCell::new(random),
            backoff: RefCell::new(Backoff::new()),
            retry_at: Cell::new(None),
            attempting: Cell::new(false),
            queue,
            shown,
        })
    }

    /// Waits for a connection until the deadline.
    pub(super) async fn check_out(&self, deadline: Instant) -> Result<Checkout, Error> {
        let waiting = self.queue.join()?;
        let taken = tokio::time::timeout_at(deadline, self.take(deadline)).await;
        let (object, place) = taken.map_err(|_| Error::Deadline)??;
        waiting.end();
        let new = Object::metrics(&object).recycle_count == 0;
        self.shown.take_one();
        let mut checkout = Checkout {
            object: Some(object),
            statements: Statements::Unnamed,
            pool: self.pool.clone(),
            lines: Rc::clone(&self.lines),
            shown: Rc::clone(&self.shown),
            renewals: self.shown.renewals.get(),
            _place: place,
        };
        if new && self.shown.replaced.opened(self.shown.set_size(&self.pool)) {
            self.shown.counters.reconnects.note();
        }
        let prepared = Statements::prepare(checkout.object()?, self.settings.statements, Works::default());
        match tokio::time::timeout_at(deadline, prepared).await {
            Err(_) => return Err(Error::Deadline),
            Ok(Err(error)) => {
                // Closed first: a connection without its statements is of no use to the others.
                drop(checkout);
                self.note_failure(error.trouble().unwrap_or_else(|| Trouble::away(error.to_string())));
                return Err(Error::Unreached);
            }
            Ok(Ok(statements)) => checkout.statements = statements,
        }
        if new {
            *self.backoff.borrow_mut() = Backoff::new();
            self.retry_at.set(None);
            self.shown.reach.reached();
        }
        Ok(checkout)
    }

    /// Takes a connection that is there, or opens one, while the deadline leaves time to use it. After a failed attempt at one more, the next one is some time off,
    /// and what there is has to do.
    async fn take(&self, deadline: Instant) -> Result<(Object, Place), Error> {
        if self.is_resting() && self.pool.status().size == 0 {
            return Err(Error::Unreached);
        }
        let kept = self.settings.wait / KEPT_FOR_WORK;
        let begin_by = deadline.checked_sub(kept).unwrap_or(deadline);
        let place =
            tokio::time::timeout_at(begin_by, self.places.take()).await.map_err(|_| Error::Deadline)??;
        loop {
            if self.is_resting() {
                let status = self.pool.status();
                if status.size == 0 {
                    // Its place is given up with this, and so the next in line need not wait either.
                    return Err(Error::Unreached);
                }
                if status.available == 0 {
                    self.places.returned().await;
                    continue;
                }
            }
            let attempt = self.begin_attempt();
            let got = self.pool.get().await;
            drop(attempt);
            match got {
                Ok(object) => {
                    self.note_line(&object);
                    return Ok((object, place));
                }
                Err(PoolError::Timeout(TimeoutType::Wait)) => return Err(Error::Deadline),
                Err(error) => self.note_failure(pool::trouble(&error)),
            }
        }
    }

    /// Takes another size: what is too much is closed as it comes back, what is too little is opened when it is needed.
    pub(super) fn resize(&self, max_size: u32) {
        self.pool.resize(max_size as usize);
        self.places.resize(max_size as usize);
        self.shown.replaced.resized(max_size);
        self.shown.counters.pool.max_size.set(max_size);
        self.shown.set_size(&self.pool);
    }

    /// Gives all connections up for new ones: what is in use is closed as it comes back.
    pub(super) fn renew(&self) {
        self.shown.renewals.set(self.shown.renewals.get().wrapping_add(1));
        self.pool.retain(|_, _| false);
        self.shown.set_size(&self.pool);
    }

    /// For when the worker ends: what is dropped from here on starts no task.
    pub(super) fn close(&self) {
        self.lines.borrow_mut().clear();
    }

    /// Those who wait.
    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Keeps the line of a connection that was opened just now, and forgets those that are gone.
    fn note_line(&self, object: &Object) {
        if let Some(line) = self.newest.take() {
            let mut lines = self.lines.borrow_mut();
            lines.retain(|_, line| !line.task.is_finished());
            lines.insert(Object::id(object), line);
        }
    }

    fn note_failure(&self, trouble: Trouble) {
        // Before one more was tried, those that were closed have gone.
        let most = if self.shown.set_size(&self.pool) == 0 {
            self.shown.reach.lost(trouble);
            Backoff::MOST
        } else {
            self.shown.reach.short(trouble);
            Backoff::MOST_FOR_ANOTHER
        };
        self.rest(most);
    }

    /// Whether the next attempt at one more connection is some time off, or somebody else's.
    fn is_resting(&self) -> bool {
        self.retry_at.get().is_some_and(|at| self.attempting.get() || Instant::now() < at)
    }

    /// From here on others hold back, where an attempt has failed and none has succeeded since.
    fn begin_attempt(&self) -> Option<Attempt<'_>> {
        let is_first = self.retry_at.get().is_some() && !self.attempting.replace(true);
        is_first.then(|| Attempt(&self.attempting))
    }

    /// Puts the next attempt at one more connection off.
    fn rest(&self, most: Duration) {
        let wait = self.backoff.borrow_mut().next(&mut self.random.borrow_mut(), most);
        self.retry_at.set(Some(Instant::now() + wait));
    }
}

/// The attempt after one that failed, for as long as it is under way.
struct Attempt<'a>(&'a Cell<bool>);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Takes connections that ended while nobody used them out of the pool, until the worker's runtime ends.
async fn forget_closed(ends: Ends, pool: Pool, shown: Rc<Shown>) {
    loop {
        ends.next().await;
        pool.retain(|client, _| !client.is_closed());
        if shown.set_size(&pool) == 0 {
            shown.reach.end();
        }
    }
}

impl Shown {
    fn take_one(&self) {
        let pool = &self.counters.pool;
        if let Some(lane) = pool.lanes.get(self.in_use.get() as usize) {
            lane.set(1);
        }
        self.in_use.set(self.in_use.get() + 1);
        pool.available.set(pool.size.read().saturating_sub(self.in_use.get()));
    }

    fn give_back(&self) {
        let pool = &self.counters.pool;
        self.in_use.set(self.in_use.get() - 1);
        if let Some(lane) = pool.lanes.get(self.in_use.get() as usize) {
            lane.set(0);
        }
        pool.available.set(pool.size.read().saturating_sub(self.in_use.get()));
    }

    /// Looks how many connections there are, after one came or went; gives their number.
    fn set_size(&self, pool: &Pool) -> u32 {
        let size = u32::try_from(pool.status().size).unwrap_or(u32::MAX);
        let gauges = &self.counters.pool;
        gauges.size.set(size);
        gauges.available.set(size.saturating_sub(self.in_use.get()));
        size
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

    /// A query failed, and the answers to those beside it may be pending: the connection goes back once they have come.
    pub(super) fn finish_behind_a_barrier(self: Box<Self>, deadline: Instant) {
        tokio::task::spawn_local(async move {
            let Ok(client) = self.client() else { return };
            // An empty query is answered after everything before it; it fails only with the connection itself.
            if let Ok(Ok(_)) = tokio::time::timeout_at(deadline, client.simple_query("")).await {
                self.finish();
            }
        });
    }

    /// All answers have come: the connection goes back to the pool.
    pub(super) fn finish(mut self) {
        if self.renewals != self.shown.renewals.get() {
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
            let line = self.lines.borrow_mut().remove(&Object::id(&object));
            if !object.is_closed() {
                self.shown.replaced.given_up();
                // An answer may still be pending on it, and PostgreSQL need not go on with it.
                if let Some(line) = line {
                    line.end(object.cancel_token());
                }
            }
            drop(Object::take(object));
            self.shown.give_back();
            self.shown.set_size(&self.pool);
        }
    }
}
