//! One lane and the tickets of the requests on it.
//!
//! **Invariant:** `in_flight` counts what PostgreSQL has still to answer. A request that is dropped half-way leaves its
//! queries in the pipeline, so its places come back only when a barrier behind them is answered.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use slab::Slab;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::super::connect::Line;
use super::super::replicas::ReadHost;
use super::super::statements::Statements;
use super::Lanes;
use super::choose::{self, Load, MOST_IN_FLIGHT};
use super::held::{Work, Works};
use crate::telemetry::counters::{MOST_LANES_SHOWN, WorkerCounters};
use crate::tuning::backlog::Backlog;

/// A request on a lane.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    deadline: Instant,
    /// Its place in the order of the lane's requests.
    number: u64,
    work: Work,
}

/// A leased database connection with its prepared statements.
pub(super) struct Lane {
    /// Taken out of the pool for good when the lane ends.
    object: Option<Object>,
    statements: Statements,
    line: Line,
    in_flight: Cell<u32>,
    /// Queries answered since its pace was last noted.
    answered: Cell<u32>,
    deep_from: Cell<u32>,
    /// The same, of the time before that.
    noted: Cell<u32>,
    /// Work that was answered in full since its pace was last noted.
    finished: Cell<Works>,
    /// For how long nothing was answered of what is in flight.
    quiet: Cell<Duration>,
    /// That was too long: it takes no further request until something is answered.
    stuck: Cell<bool>,
    /// It is for held work alone.
    trial: Cell<bool>,
    backlog: Cell<Backlog>,
    /// Queries that it may be expected to answer in time; no end of them where no queue stands.
    worth: Cell<u32>,
    /// Requests that ever entered.
    entered: Cell<u64>,
    /// How many of them its replica was told of.
    told: Cell<u64>,
    /// When it is to be replaced, if ever.
    expiry: Option<Instant>,
    under_way: RefCell<Slab<UnderWay>>,
    ended: Cell<bool>,
    /// Ended because its replica is gone: what was asked on it is lost, not late.
    forsaken: Cell<bool>,
    /// There are to be fewer lanes than there are: it takes no further request.
    surplus: Cell<bool>,
    /// Its server is not the one to ask any more: it takes no further request either.
    retired: Cell<bool>,
    /// Where what is in flight is shown, unless it was given up.
    gauge: Cell<Option<usize>>,
    counters: Arc<WorkerCounters>,
}

impl Lane {
    pub(super) fn new(
        object: Object,
        statements: Statements,
        line: Line,
        expiry: Option<Instant>,
        counters: Arc<WorkerCounters>,
    ) -> Self {
        Self {
            object: Some(object),
            statements,
            line,
            in_flight: Cell::new(0),
            answered: Cell::new(0),
            deep_from: Cell::new(choose::LEAST_DEEP),
            noted: Cell::new(0),
            finished: Cell::default(),
            quiet: Cell::default(),
            stuck: Cell::new(false),
            trial: Cell::new(false),
            backlog: Cell::default(),
            worth: Cell::new(u32::MAX),
            entered: Cell::new(0),
            told: Cell::new(0),
            expiry,
            under_way: RefCell::default(),
            ended: Cell::new(false),
            forsaken: Cell::new(false),
            surplus: Cell::new(false),
            retired: Cell::new(false),
            gauge: Cell::new(None),
            counters,
        }
    }

    /// Queries that PostgreSQL has still to answer.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// Whether it takes no further request.
    pub(super) fn is_surplus(&self) -> bool {
        self.surplus.get() || self.retired.get()
    }

    /// Takes no further request from here on.
    pub(super) fn retire(&self) {
        self.retired.set(true);
    }

    pub(super) fn set_surplus(&self, surplus: bool) {
        self.surplus.set(surplus);
    }

    /// How much it carries; nothing if it is closed or takes no further request.
    pub(super) fn load(&self) -> Option<Load> {
        if self.is_closed() { None } else { self.load_of_open() }
    }

    /// The same of one that is known not to be closed.
    pub(super) fn load_of_open(&self) -> Option<Load> {
        (!self.trial.get()).then(|| self.load_unless_barred()).flatten()
    }

    /// The same, also where it is for held work alone.
    pub(super) fn load_of_any(&self) -> Option<Load> {
        if self.is_closed() { None } else { self.load_unless_barred() }
    }

    fn load_unless_barred(&self) -> Option<Load> {
        (!self.is_surplus() && !self.stuck.get()).then(|| Load {
            in_flight: self.in_flight(),
            deep_from: self.deep_from.get(),
            room: self.room(),
        })
    }

    /// Whether it is for held work alone.
    pub(super) fn is_trial(&self) -> bool {
        self.trial.get()
    }

    pub(super) fn set_trial(&self, trial: bool) {
        self.trial.set(trial);
    }

    /// Whether nothing was answered on it for too long.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.get()
    }

    /// Takes note of its pace: what it answered since the last time, which was so long ago. Gives what work that was, and what work
    /// it is stuck with where nothing was answered for as long as `stuck_after`.
    pub(super) fn note_pace(&self, since: Duration, stuck_after: Duration) -> (Works, Option<Work>) {
        self.tell_served();
        let answered = self.answered.take();
        self.noted.set(answered);
        self.deep_from.set(choose::deep_from(answered, since).min(self.room()));
        let is_quiet = answered == 0 && self.in_flight() > 0;
        self.quiet.set(if is_quiet { self.quiet.get() + since } else { Duration::ZERO });
        let first = (self.quiet.get() > stuck_after).then(|| self.first_under_way()).flatten();
        self.stuck.set(first.is_some());
        (self.finished.take(), first)
    }

    /// Queries that it had answered when its pace was last noted, since the time before.
    pub(super) fn noted(&self) -> u32 {
        self.noted.get()
    }

    /// What PostgreSQL has been asked for longest.
    fn first_under_way(&self) -> Option<Work> {
        self.under_way.borrow().iter().map(|(_, one)| *one).min_by_key(|one| one.number).map(|one| one.work)
    }

    /// Queries that it may have in flight.
    pub(super) fn room(&self) -> u32 {
        self.worth.get().min(MOST_IN_FLIGHT)
    }

    /// Queries that may stand before it, if that is known.
    pub(super) fn worth(&self) -> Option<u32> {
        Some(self.worth.get()).filter(|worth| *worth < u32::MAX)
    }

    pub(super) fn set_worth(&self, worth: Option<u32>) {
        self.worth.set(worth.unwrap_or(u32::MAX));
        self.deep_from.set(self.deep_from.get().min(self.room()));
    }

    /// What is known of its pace while requests queue.
    pub(super) fn backlog(&self) -> &Cell<Backlog> {
        &self.backlog
    }

    /// Whether the connection is gone or given up.
    pub(super) fn is_closed(&self) -> bool {
        self.ended.get() || self.client().is_closed()
    }

    /// The deadline that passes first, of all requests on it.
    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.under_way.borrow().iter().map(|(_, one)| one.deadline).min()
    }

    /// Ends the connection with all that is pending on it, and asks PostgreSQL to stop working on it.
    pub(super) fn end(&self) {
        self.ended.set(true);
        self.line.end(self.client().cancel_token());
    }

    /// Ends the connection with all that is pending on it.
    pub(super) fn close(&self) {
        self.ended.set(true);
        self.line.task.abort();
    }

    /// Ends the connection with all that is pending on it, which is to be asked elsewhere.
    pub(super) fn forsake(&self) {
        self.forsaken.set(true);
        self.close();
    }

    /// Whether it was ended because a request on it was overdue.
    pub(super) fn was_ended(&self) -> bool {
        self.ended.get() && !self.forsaken.get()
    }

    /// The replica that it is at, if it is at one.
    pub(super) fn host(&self) -> Option<&Arc<ReadHost>> {
        self.line.host.as_ref()
    }

    /// Whether it is old enough to be replaced.
    pub(super) fn is_aged(&self, now: Instant) -> bool {
        self.expiry.is_some_and(|expiry| expiry <= now)
    }

    /// Whether its server is left, or it is being replaced.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Tells its replica how many requests were sent there since it was last told.
    fn tell_served(&self) {
        if let Some(host) = self.host() {
            host.note_served(self.entered.get() - self.told.replace(self.entered.get()));
        }
    }

    fn client(&self) -> &Client {
        match &self.object {
            Some(object) => object,
            None => unreachable!("the object is taken in drop only"),
        }
    }

    /// Shows what is in flight as that of the lane in this place, or no longer.
    pub(super) fn show_at(&self, place: Option<usize>) {
        let gauge = place.map(|place| place.min(MOST_LANES_SHOWN - 1));
        self.gauge.set(gauge);
        if let Some(gauge) = gauge {
            self.counters.pool.lanes[gauge].raise(self.in_flight());
        }
    }

    fn enter(&self, queries: u32) {
        let before = self.in_flight.get();
        self.in_flight.set(before + queries);
        if let Some(gauge) = self.gauge.get() {
            let pool = &self.counters.pool;
            pool.lanes[gauge].raise(queries);
            if before == 0 {
                pool.available.lower(1);
            }
        }
    }

    fn leave(&self, queries: u32) {
        let left = self.in_flight.get() - queries;
        self.in_flight.set(left);
        if let Some(gauge) = self.gauge.get() {
            let pool = &self.counters.pool;
            pool.lanes[gauge].lower(queries);
            if left == 0 {
                pool.available.raise(1);
            }
        }
        self.answered.set(self.answered.get().saturating_add(queries));
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.tell_served();
        // Taken out of the pool: a lane ends because its connection is not to be used again.
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

/// A request's place on a lane.
pub(in crate::database) struct Ticket {
    pub(super) lanes: Rc<Lanes>,
    pub(super) lane: Rc<Lane>,
    queries: u32,
    /// Where it stands among those under way, until it has all its answers.
    key: Option<usize>,
    /// A query of it failed: that the others are answered says nothing of its work.
    is_failed: bool,
}

impl Ticket {
    pub(super) fn new(lanes: Rc<Lanes>, lane: Rc<Lane>, work: Work, queries: u32, deadline: Instant) -> Self {
        lane.enter(queries);
        let number = lane.entered.get();
        lane.entered.set(number + 1);
        let key = lane.under_way.borrow_mut().insert(UnderWay { deadline, number, work });
        Self { lanes, lane, queries, key: Some(key), is_failed: false }
    }

    /// The connection to send on.
    pub(in crate::database) fn client(&self) -> &Client {
        self.lane.client()
    }

    /// Its statements.
    pub(in crate::database) fn statements(&self) -> &Statements {
        &self.lane.statements
    }

    /// All answers have come: the place is free at once.
    pub(in crate::database) fn finish(mut self) {
        if let Some(one) = self.leave_the_others() {
            self.lane.finished.set(self.lane.finished.get().with(one.work));
        }
        self.lane.leave(self.queries);
        self.lanes.left();
    }

    /// One query failed: the place is free when the answers to the others have come.
    pub(in crate::database) fn fail(mut self) {
        self.is_failed = true;
    }

    fn leave_the_others(&mut self) -> Option<UnderWay> {
        self.key.take().map(|key| self.lane.under_way.borrow_mut().remove(key))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(one) = self.leave_the_others() else { return };
        if self.lane.is_closed() {
            return;
        }
        // The client left, or one query of many failed: the other answers are still to come.
        let (lanes, lane, queries) = (Rc::clone(&self.lanes), Rc::clone(&self.lane), self.queries);
        let (patience, is_failed) = (Instant::now() + lanes.settings.wait, self.is_failed);
        let key = lane.under_way.borrow_mut().insert(UnderWay { deadline: patience, ..one });
        tokio::task::spawn_local(async move {
            // An empty query is answered after everything before it; it fails only with the lane itself.
            let answered = lane.client().simple_query("").await;
            lane.under_way.borrow_mut().remove(key);
            // PostgreSQL has done the work, though nobody waits for it any more. Where the lane was stuck it need not have: its own
            // `statement_timeout` may have ended a wait for a lock that still stands, and that error was for the one who left.
            if answered.is_ok() && !is_failed && !lane.is_stuck() {
                lane.finished.set(lane.finished.get().with(one.work));
            }
            lane.leave(queries);
            lanes.left();
        });
    }
}
