//! Lanes: database connections leased from the worker's pool, each carrying many requests at once.
//!
//! Which lane a request takes: see [`choose`]; how much a lane may carry, [`room`]. A lane is opened when it is first needed and kept, until a reload wants fewer.
//!
//! **Invariant:** a pending pipeline is never reused. A lane whose oldest request has outlived its deadline is ended, all its
//! requests fail at once, and a new one is opened in its place.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use deadpool_postgres::Pool;
use rand::rngs::SmallRng;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connect::{Ends, Newest};
use super::error::Error;
use super::pool::PoolSettings;
use super::queue::Queue;
use super::reach::{Member, Reach};
use super::replaced::Replaced;
use crate::telemetry::counters::WorkerCounters;

mod age;
mod choose;
mod held;
mod hosts;
mod lane;
mod open;
mod room;
mod watch;

use held::Held;
pub(super) use held::{Work, Works};
use lane::Lane;
pub(super) use lane::Ticket;

/// A worker's lanes.
pub(super) struct Lanes {
    pool: Pool,
    settings: PoolSettings,
    newest: Newest,
    reach: Member,
    random: RefCell<SmallRng>,
    open: RefCell<Vec<Rc<Lane>>>,
    /// How many there may be.
    max_size: Cell<u32>,
    /// Whether a request would rather have had a lane more than there may be, since it was last asked.
    wanted_more: Cell<bool>,
    /// Whether a task is opening a lane; there is one at the most, so that a restart of PostgreSQL meets no storm.
    opening: Cell<bool>,
    /// Whether the last attempt failed with no lane open: requests are then refused at once.
    lost: Cell<bool>,
    /// Attempts that failed one after the other, the last one included, while others were open.
    short: Cell<u32>,
    held: Held,
    /// Preparing the statements of the last attempt was held up: the next one leaves them to their first queries.
    unprepared: Cell<bool>,
    /// When an old lane ended last to have its place taken by a new one, which PostgreSQL may not have noticed yet.
    replaced_at: Cell<Option<Instant>>,
    /// Wakes the task that waits before it opens another lane, when there is none left.
    alone: Notify,
    queue: Queue,
    /// Queries of requests that wait for a place on a lane; who comes newly stands behind them.
    in_line: Cell<u32>,
    standing: room::Standing,
    /// Wakes requests that wait for a lane to open or for a place on one.
    changed: Notify,
    /// Wakes the watch when the first request enters; see [`watch`].
    watch: watch::Alarm,
    replaced: Replaced,
    counters: Arc<WorkerCounters>,
}

impl Lanes {
    /// Makes the lanes' owner and starts its watch; no connection is opened yet.
    pub(super) fn start(
        settings: PoolSettings,
        reach: &Arc<Reach>,
        random: SmallRng,
        counters: Arc<WorkerCounters>,
    ) -> Result<Rc<Self>, deadpool_postgres::BuildError> {
        let (pool, newest, ends) = super::pool::build(&settings, reach)?;
        let lanes = Rc::new(Self {
            pool,
            max_size: Cell::new(settings.first_size()),
            queue: Queue::new(settings.max_waiting, Arc::clone(&counters)),
            wanted_more: Cell::new(false),
            settings,
            newest,
            reach: reach.member(),
            random: RefCell::new(random),
            open: RefCell::default(),
            opening: Cell::new(false),
            lost: Cell::new(false),
            short: Cell::new(0),
            held: Held::default(),
            unprepared: Cell::new(false),
            replaced_at: Cell::new(None),
            alone: Notify::new(),
            in_line: Cell::new(0),
            standing: room::Standing::default(),
            changed: Notify::new(),
            watch: watch::Alarm::default(),
            replaced: Replaced::default(),
            counters,
        });
        lanes.show();
        tokio::task::spawn_local(watch::watch(Rc::clone(&lanes)));
        tokio::task::spawn_local(Rc::clone(&lanes).follow_ends(ends));
        if let Some(age) = lanes.settings.max_age {
            tokio::task::spawn_local(Rc::clone(&lanes).replace_aged(age));
        }
        Ok(lanes)
    }

    /// Forgets lanes that end while no request looks at them, until the worker's runtime ends.
    async fn follow_ends(self: Rc<Self>, ends: Ends) {
        loop {
            ends.next().await;
            self.forget_closed();
        }
    }

    /// Takes a place for `queries` queries on a lane; waits for one, if it must, until the deadline.
    pub(super) async fn enter(
        self: &Rc<Self>,
        work: Work,
        queries: u32,
        deadline: Instant,
    ) -> Result<Ticket, Error> {
        match self.enter_at_once(work, queries, deadline) {
            Some(ticket) => Ok(ticket),
            None => self.wait(work, queries, deadline).await,
        }
    }

    /// Takes a place for `queries` queries on a lane, if one has room and nobody waits for it.
    pub(super) fn enter_at_once(
        self: &Rc<Self>,
        work: Work,
        queries: u32,
        deadline: Instant,
    ) -> Option<Ticket> {
        if self.in_line.get() > 0 && !self.held.works().has(work) {
            return None;
        }
        self.pick(work, queries).map(|lane| self.admit(lane, work, queries, deadline))
    }

    fn admit(self: &Rc<Self>, lane: Rc<Lane>, work: Work, queries: u32, deadline: Instant) -> Ticket {
        self.watch.arm();
        Ticket::new(Rc::clone(self), lane, work, queries, deadline)
    }

    /// The slow path: no lane is open, or all are full or stuck, or the work is held.
    async fn wait(self: &Rc<Self>, work: Work, queries: u32, deadline: Instant) -> Result<Ticket, Error> {
        if self.lost.get() {
            return Err(Error::Unreached);
        }
        if !self.held.works().has(work) && self.is_overloaded() {
            return Err(Error::Overloaded);
        }
        let _waiting = self.queue.join()?;
        let mut in_line = None;
        loop {
            let is_held = self.held.works().has(work);
            // Nobody stands behind work that is held.
            if is_held {
                in_line = None;
            } else if in_line.is_none() {
                in_line = Some(InLine::join(&self.in_line, queries));
            }
            let news = if is_held { &self.held.news } else { &self.changed };
            // Nothing else runs on this thread between the look and the wait, so that no change is missed.
            tokio::time::timeout_at(deadline, news.notified()).await.map_err(|_| Error::Deadline)?;
            if let Some(lane) = self.pick(work, queries) {
                let is_last = if is_held { self.queue.len() <= 1 } else { self.in_line.get() <= queries };
                if !is_last && (is_held || lane.in_flight() + queries < lane.room() || self.has_room()) {
                    news.notify_one();
                }
                return Ok(self.admit(lane, work, queries, deadline));
            }
            if self.lost.get() {
                return Err(Error::Unreached);
            }
            if !is_held && self.held.works().has(work) {
                // Held since: the place is for one that may take it.
                self.changed.notify_one();
            }
        }
    }

    /// The lane for the next request, if one has room; starts opening another where that would serve it better.
    fn pick(self: &Rc<Self>, work: Work, queries: u32) -> Option<Rc<Lane>> {
        let open = self.open.borrow();
        let mut closed = false;
        let max_size = self.max_size.get();
        let room = open.len() < max_size as usize;
        let is_held = self.held.works().has(work);
        let choice = if is_held {
            let loads = open.iter().map(|lane| {
                closed |= lane.is_closed();
                held::Candidate {
                    load: lane.load_of_any(),
                    is_trial: lane.is_trial(),
                    is_stuck: lane.is_stuck(),
                }
            });
            held::choose_trial(max_size > 1 && self.short.get() < held::SHORT_FOR_GOOD, loads)
        } else {
            let loads = open.iter().map(|lane| {
                let is_closed = lane.is_closed();
                closed |= is_closed;
                if is_closed { None } else { lane.load_of_open() }
            });
            choose::choose(queries, max_size, loads)
        };
        let chosen = choice.lane.map(|index| Rc::clone(&open[index]));
        if is_held && let Some(lane) = &chosen {
            // Where it is the only one, it is for all.
            let others = open.iter().filter(|other| !Rc::ptr_eq(other, lane) && other.load().is_some());
            lane.set_trial(others.count() > 0);
        }
        drop(open);
        if closed {
            self.forget_closed();
        }
        if choice.wants_another && !room {
            self.wanted_more.set(true);
        }
        if (closed || (room && choice.wants_another)) && !self.opening.get() {
            self.open_another();
        }
        chosen
    }

    /// Begins to open one more. Apart from the choice, which each request makes: a task to be started takes 20 KiB of stack.
    #[cold]
    #[inline(never)]
    fn open_another(self: &Rc<Self>) {
        self.opening.set(true);
        tokio::task::spawn_local(open::open_one(Rc::clone(self)));
    }

    /// Whether a lane has room for one query more.
    fn has_room(&self) -> bool {
        let open = self.open.borrow();
        open.iter().filter_map(|lane| lane.load()).any(|load| load.in_flight < load.room)
    }

    /// Takes another number of lanes: those past it get no further request, and end when they have answered what they have.
    pub(super) fn resize(&self, max_size: u32) {
        self.max_size.set(max_size);
        self.pool.resize(max_size as usize);
        self.tell_surplus();
        self.replaced.resized(max_size);
        self.end_surplus();
        self.show();
        // Where there may be more now, those who wait may have one opened.
        self.wake_all();
    }

    /// Has all who wait look again.
    fn wake_all(&self) {
        self.changed.notify_waiters();
        self.held.news.notify_waiters();
    }

    /// Whether a request would have had a lane more than there may be, since this was last asked.
    pub(super) fn take_wanted_more(&self) -> bool {
        self.wanted_more.take()
    }

    /// Tells lanes whether they are too many: the last ones are, and one of them takes the place of one before it that is gone.
    fn tell_surplus(&self) {
        for (index, lane) in self.open.borrow().iter().enumerate() {
            lane.set_surplus(index >= self.max_size.get() as usize);
        }
    }

    /// Gives all lanes up for new ones: each ends when it has answered what it has.
    pub(super) fn renew(&self) {
        for lane in self.open.borrow().iter() {
            lane.retire();
        }
        self.end_surplus();
    }

    /// Ends surplus lanes on which nothing is pending; the watch comes back for the others.
    fn end_surplus(&self) {
        let mut ended = false;
        for lane in self.open.borrow().iter().filter(|lane| lane.is_surplus() && lane.in_flight() == 0) {
            lane.close();
            ended = true;
        }
        if ended {
            self.forget_closed();
        }
    }

    /// Forgets lanes that are gone, and wakes those who wait, for whom there may be another now. With the last one, whoever is waiting to open another need not wait any longer.
    fn forget_closed(&self) {
        let mut open = self.open.borrow_mut();
        let before = open.len();
        open.retain(|lane| {
            let stays = !lane.is_closed();
            if !stays {
                lane.show_at(None);
            }
            stays
        });
        if open.is_empty() && before > 0 {
            self.reach.end();
            self.alone.notify_one();
        }
        let changed = open.len() != before;
        drop(open);
        if changed {
            self.tell_surplus();
            self.show();
            self.wake_all();
        }
    }

    /// Ends all lanes, for when the worker ends: what is dropped from here on starts no task.
    pub(super) fn close(&self) {
        for lane in self.open.borrow().iter() {
            lane.close();
        }
        self.forget_closed();
    }

    /// Brings what others see of the lanes up to date, after one came or went.
    fn show(&self) {
        let (open, pool) = (self.open.borrow(), &self.counters.pool);
        pool.max_size.set(self.max_size.get());
        pool.size.set(count(open.iter()));
        pool.available.set(count(open.iter().filter(|lane| lane.in_flight() == 0)));
        pool.lanes.iter().for_each(|gauge| gauge.set(0));
        for (place, lane) in open.iter().enumerate() {
            lane.show_at(Some(place));
        }
    }

    /// Those who wait.
    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// A ticket gave its place back. Where there is no room nobody is woken: whoever waits anew stands behind all others.
    fn left(&self) {
        if self.in_line.get() > 0 && self.has_room() {
            self.changed.notify_one();
        }
        if !self.held.works().is_none() && self.queue.len() > 0 {
            self.held.news.notify_one();
        }
    }
}

/// The queries of a request that waits, until it does no longer.
struct InLine<'a> {
    in_line: &'a Cell<u32>,
    queries: u32,
}

impl<'a> InLine<'a> {
    fn join(in_line: &'a Cell<u32>, queries: u32) -> Self {
        in_line.set(in_line.get() + queries);
        Self { in_line, queries }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.in_line.set(self.in_line.get() - self.queries);
    }
}

/// How many lanes these are.
fn count<'a>(lanes: impl Iterator<Item = &'a Rc<Lane>>) -> u32 {
    u32::try_from(lanes.count()).unwrap_or(u32::MAX)
}
