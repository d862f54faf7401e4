//! Exclusive dispatch: a database connection to itself for each request, as a pool gives it.
//!
//! The textbook pool, kept because the 3-to-6 rule is about it. It costs more on single-query routes, for each request
//! waits out a whole round trip before the next may use the connection.
//!
//! Connections are opened one at a time, by a task that outlives the request that asked for it: where a host is silent for longer than
//! a request may wait, the next host is tried all the same.
//!
//! **Invariant:** a connection goes back to the pool only when all its answers have come; any other end closes it. Who waits for one is
//! served in turn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool, Timeouts};
use rand::rngs::SmallRng;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::backoff::Backoff;
use super::connect::{Ends, Newest};
use super::error::Error;
use super::lanes::Works;
use super::lines::Lines;
use super::places::{Place, Places};
use super::pool::{self, PoolSettings};
use super::queue::{self, Queue};
use super::reach::{Reach, Trouble};
use super::replaced::Replaced;
use super::replicas::Fleet;
use super::shown::Shown;
use super::statements::Statements;
use crate::config::database::Statements as Mode;
use crate::telemetry::counters::WorkerCounters;

/// The part of a request's patience that is kept for its queries: begun later it would take its connection with it at its deadline.
const KEPT_FOR_WORK: u32 = 8;

/// For a connection that is there: a request opens none itself, and one that was closed just now is not replaced under its hands.
const AT_ONCE: Timeouts =
    Timeouts { wait: Some(Duration::ZERO), create: Some(Duration::ZERO), recycle: None };

/// A worker's pool, used one request at a time.
pub(super) struct Exclusive {
    pool: Pool,
    newest: Newest,
    lines: Rc<Lines>,
    settings: PoolSettings,
    /// As many as the pool may have connections; whoever asks the pool has one.
    places: Rc<Places>,
    random: RefCell<SmallRng>,
    /// Whether a task is opening a connection; there is one at the most, so that a restart of PostgreSQL meets no storm.
    opening: Cell<bool>,
    /// Wakes that task where it waits until one more is wanted.
    wanted: Notify,
    /// Whether the last attempt failed with no connection open: requests are then refused at once.
    lost: Cell<bool>,
    queue: Rc<Queue>,
    shown: Rc<Shown>,
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
    /// Given up after the connection, when the fields are dropped; whoever opens one for others has none.
    place: Option<Place>,
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
            alone: Notify::new(),
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
            opening: Cell::new(false),
            wanted: Notify::new(),
            lost: Cell::new(false),
            queue,
            shown,
        })
    }

    /// Waits for a connection until the deadline.
    pub(super) async fn check_out(self: &Rc<Self>, deadline: Instant) -> Result<Checkout, Error> {
        let waiting = self.queue.join()?;
        let taken = tokio::time::timeout_at(deadline, self.take(deadline)).await;
        let mut checkout = taken.map_err(|_| Error::Deadline)??;
        waiting.end();
        // Prepared when it was opened, and only looked up here.
        let prepared = checkout.prepare(self.settings.statements);
        let prepared = tokio::time::timeout_at(deadline, prepared).await;
        checkout.statements = prepared.map_err(|_| Error::Deadline)??;
        Ok(checkout)
    }

    /// Takes a connection that is there, or has one opened, while the deadline leaves time to use it.
    async fn take(self: &Rc<Self>, deadline: Instant) -> Result<Checkout, Error> {
        if self.lost.get() {
            return Err(Error::Unreached);
        }
        let kept = self.settings.wait / KEPT_FOR_WORK;
        let begin_by = deadline.checked_sub(kept).unwrap_or(deadline);
        let in_line = async { Ok::<_, Error>((self.places.take().await?, self.places.turn().await)) };
        let (place, _turn) =
            tokio::time::timeout_at(begin_by, in_line).await.map_err(|_| Error::Deadline)??;
        loop {
            if self.lost.get() {
                // Place and turn are given up with this, and so the next in line need not wait either.
                return Err(Error::Unreached);
            }
            if self.has_idle()
                && let Ok(object) = self.pool.timeout_get(&AT_ONCE).await
            {
                if self.lines.is_worn(&object, &self.settings) {
                    self.give_up(object);
                    continue;
                }
                return Ok(self.lend(object, Some(place), self.shown.renewals.get()));
            }
            self.open_another();
            self.places.returned().await;
        }
    }

    /// Whether there is a connection that nobody uses. The pool does not say: it counts who is opening one as using one.
    fn has_idle(&self) -> bool {
        self.pool.status().size > self.shown.in_use.get() as usize
    }

    fn has_room(&self) -> bool {
        let status = self.pool.status();
        status.size < status.max_size
    }

    fn lend(&self, object: Object, place: Option<Place>, renewals: u32) -> Checkout {
        self.shown.take_one();
        Checkout {
            object: Some(object),
            statements: Statements::Unnamed(None),
            pool: self.pool.clone(),
            lines: Rc::clone(&self.lines),
            shown: Rc::clone(&self.shown),
            renewals,
            place,
        }
    }

    /// Has another connection opened, unless that is being done or there are as many as there may be.
    fn open_another(self: &Rc<Self>) {
        if !self.has_room() {
            return;
        }
        if self.opening.replace(true) {
            self.wanted.notify_one();
        } else {
            tokio::task::spawn_local(open_one(Rc::clone(self)));
        }
    }

    /// Opens a connection with its statements, without which it is closed again, and leaves it to those who wait.
    async fn open(&self) -> Result<(), Trouble> {
        let renewals = self.shown.renewals.get();
        let object = self.pool.get().await.map_err(|error| pool::trouble(&error))?;
        self.lines.take(&object, self.newest.take(), &self.settings);
        let checkout = self.lend(object, None, renewals);
        if self.shown.replaced.opened(self.shown.set_size(&self.pool)) {
            self.shown.counters.reconnects.note();
        }
        match tokio::time::timeout(self.settings.wait, checkout.prepare(self.settings.statements)).await {
            Ok(Ok(_)) => checkout.finish(),
            Ok(Err(error)) => {
                return Err(error.trouble().unwrap_or_else(|| Trouble::away(error.to_string())));
            }
            Err(_) => return Err(Trouble::away("preparing its statements took too long")),
        }
        Ok(())
    }

    /// Takes another size: what is too much is closed as it comes back, what is too little is opened when it is needed.
    pub(super) fn resize(&self, max_size: u32) {
        self.pool.resize(max_size as usize);
        self.places.resize(max_size as usize);
        self.shown.replaced.resized(max_size);
        self.shown.counters.pool.max_size.set(max_size);
        self.shown.set_size(&self.pool);
        // Where there may be more now, who waits may have one opened.
        self.places.look();
        self.wanted.notify_one();
    }

    /// Gives all connections up for new ones: what is in use is closed as it comes back.
    pub(super) fn renew(&self) {
        self.shown.renewals.set(self.shown.renewals.get().wrapping_add(1));
        self.pool.retain(|_, _| false);
        self.shown.set_size(&self.pool);
    }

    /// For when the worker ends: what is dropped from here on starts no task.
    pub(super) fn close(&self) {
        self.lines.clear();
    }

    /// Those who wait.
    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Closes a connection that is not to be used any more, though nothing is wrong with it.
    fn give_up(&self, object: Object) {
        self.lines.remove(&object);
        drop(Object::take(object));
        self.shown.replaced.given_up();
        self.shown.set_size(&self.pool);
    }

    /// Leaves replicas that are not in use any more. With none in use nobody waits for one.
    pub(super) fn keep_to(&self, fleet: &Fleet) {
        self.lines.keep_to_hosts_in_use();
        self.lost.set(!fleet.is_in_use());
        self.places.look();
    }

    /// Says what a failed attempt means, and how long the next one may wait at the most.
    fn note_failure(&self, trouble: Trouble) -> Duration {
        if self.shown.set_size(&self.pool) > 0 {
            self.shown.reach.short(trouble);
            return Backoff::MOST_FOR_ANOTHER;
        }
        self.lost.set(true);
        self.shown.reach.lost(trouble);
        self.places.look();
        Backoff::MOST
    }
}

/// Opens one connection, and goes on trying until it is open, or one more would be too many.
async fn open_one(exclusive: Rc<Exclusive>) {
    let mut backoff = Backoff::new();
    loop {
        // The pool would give one that came back meanwhile, and nothing would have been tried: the next attempt is for when it does not do.
        while exclusive.has_room() && exclusive.has_idle() {
            exclusive.wanted.notified().await;
        }
        if !exclusive.has_room() {
            break;
        }
        let Err(trouble) = exclusive.open().await else { break };
        let most = exclusive.note_failure(trouble);
        let wait = backoff.next(&mut exclusive.random.borrow_mut(), most);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // The connections that were there are gone: what was one more is now the first.
            () = exclusive.shown.alone.notified(), if most > Backoff::MOST => backoff = Backoff::new(),
        }
    }
    exclusive.lost.set(false);
    exclusive.opening.set(false);
    exclusive.shown.reach.reached();
    exclusive.places.look();
}

/// Takes connections that ended while nobody used them out of the pool, until the worker's runtime ends.
async fn forget_closed(ends: Ends, pool: Pool, shown: Rc<Shown>) {
    loop {
        ends.next().await;
        pool.retain(|client, _| !client.is_closed());
        if shown.set_size(&pool) == 0 {
            shown.reach.end();
            shown.alone.notify_one();
        }
    }
}

impl Checkout {
    fn object(&self) -> Result<&Object, Error> {
        self.object.as_ref().ok_or(Error::Lost)
    }

    /// Prepares its statements, or finds them prepared.
    async fn prepare(&self, mode: Mode) -> Result<Statements, Error> {
        let object = self.object()?;
        let is_pooled = self.lines.is_pooled(object);
        Statements::prepare(object, mode, is_pooled, Works::default()).await
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

    /// Its connection was lost: where that was to a replica, those to the same one that nobody uses are closed.
    pub(super) fn leave_its_host(&self) {
        if let Some(object) = &self.object {
            self.lines.leave_host_of(object);
        }
    }

    /// All answers have come: the connection goes back to the pool.
    pub(super) fn finish(mut self) {
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
