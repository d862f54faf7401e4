//! Exclusive dispatch: a database connection to itself for each request, as a pool gives it.
//!
//! The textbook pool, kept because the 3-to-6 rule is about it. It costs more on single-query routes, for each request
//! waits out a whole round trip before the next may use the connection.
//!
//! Connections are opened by a task that outlives the request that asked for one ([`opening`]): where a host is silent for longer than a
//! request may wait, the next host is tried all the same.
//!
//! **Invariant:** who waits for a connection is served in turn, and gets none that the deadline leaves no time to use.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool, Timeouts};
use rand::rngs::SmallRng;
use tokio::sync::Notify;
use tokio::time::Instant;

mod checkout;
mod opening;

pub(super) use checkout::Checkout;

use super::connect::Newest;
use super::error::Error;
use super::lines::{Lines, Wear};
use super::places::{Place, Places};
use super::pool::{self, PoolSettings};
use super::queue::{self, Queue};
use super::reach::Reach;
use super::replaced::Replaced;
use super::replicas::Fleet;
use super::shown::Shown;
use super::statements::Statements;
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

impl Exclusive {
    /// Makes the pool and follows its connections' ends; no connection is opened yet.
    pub(super) fn start(
        settings: PoolSettings,
        reach: &Arc<Reach>,
        random: SmallRng,
        counters: Arc<WorkerCounters>,
    ) -> Result<Self, deadpool_postgres::BuildError> {
        let (pool, newest, ends) = pool::build(&settings, reach)?;
        counters.pool.max_size.set(settings.first_size());
        let shown = Rc::new(Shown {
            reach: reach.member(),
            counters: Arc::clone(&counters),
            in_use: Cell::new(0),
            renewals: Cell::new(0),
            replaced: Replaced::default(),
            alone: Notify::new(),
        });
        tokio::task::spawn_local(opening::forget_closed(ends, pool.clone(), Rc::clone(&shown)));
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

    /// Waits for a connection, for as long as the deadline leaves time to use it.
    pub(super) async fn check_out(self: &Rc<Self>, deadline: Instant) -> Result<Checkout, Error> {
        let waiting = self.queue.join()?;
        let mut checkout = self.take(deadline).await?;
        waiting.end();
        // Prepared when it was opened, and only looked up here.
        let prepared = checkout.prepare(self.settings.statements);
        let prepared = tokio::time::timeout_at(deadline, prepared).await;
        checkout.statements = prepared.map_err(|_| Error::Deadline)??;
        Ok(checkout)
    }

    async fn take(self: &Rc<Self>, deadline: Instant) -> Result<Checkout, Error> {
        if self.lost.get() {
            return Err(Error::Unreached);
        }
        let kept = self.settings.wait / KEPT_FOR_WORK;
        let begin_by = deadline.checked_sub(kept).unwrap_or(deadline);
        tokio::time::timeout_at(begin_by, self.take_in_turn()).await.map_err(|_| Error::Deadline)?
    }

    /// Takes a connection that is there, or has one opened.
    async fn take_in_turn(self: &Rc<Self>) -> Result<Checkout, Error> {
        let place = self.places.take().await?;
        let _turn = self.places.turn().await;
        loop {
            if self.lost.get() {
                // Place and turn are given up with this, and so the next in line need not wait either.
                return Err(Error::Unreached);
            }
            if let Some(object) = self.take_idle().await {
                match self.lines.wear(&object, &self.settings) {
                    Wear::None => {}
                    Wear::Old if !self.may_replace_one() => self.open_another(),
                    Wear::Old | Wear::LeftOut => {
                        self.give_up(object);
                        continue;
                    }
                }
                return Ok(self.lend(object, Some(place), self.shown.renewals.get()));
            }
            self.open_another();
            self.places.returned().await;
        }
    }

    /// A connection that nobody uses, if there is one. The pool would begin to open one in the place of one that turns out closed, so those
    /// are taken out first.
    async fn take_idle(&self) -> Option<Object> {
        if !self.has_idle() {
            return None;
        }
        self.shown.forget_closed(&self.pool);
        if self.has_idle() { self.pool.timeout_get(&AT_ONCE).await.ok() } else { None }
    }

    /// Whether there is a connection that nobody uses. The pool does not say: it counts who is opening one as using one.
    fn has_idle(&self) -> bool {
        self.pool.status().size > self.shown.in_use.get() as usize
    }

    /// Whether an old connection that was taken just now may be closed: another is there, or there can be no other beside it. One is
    /// replaced at a time.
    fn may_replace_one(&self) -> bool {
        let others = self.pool.status().size.saturating_sub(1);
        others > self.shown.in_use.get() as usize || (!self.has_room() && !self.opening.get())
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
            tokio::task::spawn_local(opening::open_one(Rc::clone(self)));
        }
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
        for _ in 0..self.lines.keep_to_hosts_in_use() {
            self.shown.replaced.given_up();
        }
        self.lost.set(!fleet.is_in_use());
        self.places.look();
    }
}
