//! What all counters held at one moment: of a worker, of a process, of those that have ended.
//!
//! **Invariant:** plain numbers that can be sent to another process and added up there; what only grows is kept apart from what is
//! so now, so that the totals of a process that has ended stay in the sum.

use serde::{Deserialize, Serialize};

use super::by::{By, Label as _};
use super::counters::{Gauge, WorkerCounters};
use super::histogram::Distribution;
use super::hosts::Host;
use super::labels::{CloseReason, DatabaseFailure, Route, StatusClass};

/// What only grows, of one worker or of several together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Connections taken off a listener. Each is open or has ended, but for the few that are told just now that there is no place for
    /// them.
    pub accepted: u64,
    /// Attempts to accept that failed for want of descriptors or memory.
    pub accept_errors: u64,
    /// Connections that ended, by [`CloseReason`].
    pub closed: By<CloseReason, u64>,
    /// Requests whose handling began.
    pub begun: u64,
    /// Requests answered, by [`Route`] and [`StatusClass`].
    pub answered: By<Route, By<StatusClass, u64>>,
    /// Requests whose client left before they were answered, or whose process ended.
    pub abandoned: u64,
    /// Panics, each of which cost a request, a connection, or a worker's thread.
    #[serde(default)]
    pub panics: u64,
    /// Bytes read from clients.
    pub bytes_in: u64,
    /// Bytes written to clients.
    pub bytes_out: u64,
    /// From the read that brought a request to its answer, of all that have begun.
    pub request_time: Distribution,
    /// Waits for a place on a lane, or for a checkout.
    pub pool_wait: Distribution,
    /// From there to the last row.
    pub database_time: Distribution,
    /// Requests that PostgreSQL did not serve, by [`DatabaseFailure`].
    pub database_failures: By<DatabaseFailure, u64>,
    /// Database connections opened in place of lost ones.
    pub reconnects: u64,
    /// Processor time of the worker's thread, in nanoseconds.
    pub cpu_ns: u64,
    /// Time in which the worker's event loop did not wait, in nanoseconds.
    pub busy_ns: u64,
}

/// What is so now, of one worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Connections that have a place. One that an acceptor took is among them before its worker counts it as accepted.
    pub open: u64,
    /// Those of them that are parked.
    pub parked: u64,
    /// The database connections.
    pub pool: Pool,
    /// Those to replicas, where reads have their own.
    #[serde(default)]
    pub reads: Option<Pool>,
}

/// Database connections as they are now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// How many there may be.
    pub max_size: u32,
    /// How many are open.
    pub size: u32,
    /// How many of those nobody uses.
    pub available: u32,
    /// Requests that wait for one.
    pub waiting: u32,
    /// Queries in flight on each.
    pub lanes: Vec<u32>,
}

/// One worker at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its thread.
    pub thread_id: Option<u32>,
    /// What only grows.
    pub totals: Totals,
    /// What is so now.
    pub state: State,
}

/// One process at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and any of them may hold")]
pub struct Process {
    /// Its index among several; 0 where there is one.
    pub index: u32,
    /// Its id.
    pub pid: u32,
    /// Whether it was told to end.
    pub draining: bool,
    /// Why the database is not reached, or not with all connections; none where nothing is known to be amiss.
    pub database_trouble: Option<String>,
    /// Whether at least one database connection could be opened, or none was wanted yet.
    pub database_reached: bool,
    /// Database connections that are open, by which it would hear of the database's end.
    #[serde(default)]
    pub database_open: u32,
    /// Those of them that the plan's total is about: at the primary, and none at replicas.
    #[serde(default)]
    pub primary_open: u32,
    /// Whether requests for the database are held back.
    pub paused: bool,
    /// Memory that is resident, in bytes.
    pub resident_bytes: Option<u64>,
    /// The limit that the control group sets on memory, in bytes; none where it sets none.
    #[serde(default)]
    pub memory_limit_bytes: Option<u64>,
    /// Why it takes no more connections, where memory is short.
    #[serde(default)]
    pub memory_trouble: Option<String>,
    /// Client connections that it may have.
    pub max_connections: u64,
    /// Whether it did not answer in time, and this is what it said last.
    #[serde(default)]
    pub silent: bool,
    /// The servers of the database, where reads go to others than writes.
    #[serde(default)]
    pub hosts: Vec<Host>,
    /// Why requests that only read are refused, where they are.
    #[serde(default)]
    pub reads_trouble: Option<String>,
    /// Its workers, in order.
    pub workers: Vec<Worker>,
}

impl Totals {
    /// What a worker has counted; its processor time is not its own to know.
    pub fn read(counters: &WorkerCounters) -> Self {
        Self {
            accepted: counters.accepted.read(),
            accept_errors: counters.accept_errors.read(),
            closed: By::of(|reason: CloseReason| counters.closed[reason.index()].read()),
            // Answers first: what is answered has begun, so that no more are answered than have begun.
            answered: By::of(|route: Route| {
                By::of(|class: StatusClass| counters.answered[route.index()][class.index()].read())
            }),
            abandoned: counters.abandoned.read(),
            panics: counters.panics.read(),
            begun: counters.begun.read(),
            bytes_in: counters.bytes_in.read(),
            bytes_out: counters.bytes_out.read(),
            request_time: counters.request_time.read(),
            pool_wait: counters.pool_wait.read(),
            database_time: counters.database_time.read(),
            database_failures: By::of(|failure: DatabaseFailure| {
                counters.database_failures[failure.index()].read()
            }),
            reconnects: counters.reconnects.read(),
            cpu_ns: 0,
            busy_ns: 0,
        }
    }

    /// Requests that were answered.
    pub fn requests(&self) -> u64 {
        self.answered.values().flat_map(By::values).sum()
    }

    /// Requests that were answered with a status of this class.
    pub fn requests_of(&self, class: StatusClass) -> u64 {
        self.answered.values().map(|classes| classes[class]).sum()
    }

    /// Requests that are being handled.
    pub fn in_flight(&self) -> u64 {
        self.begun.saturating_sub(self.requests_begun())
    }

    /// Of those that ended, the ones that had begun: what never reached a route did not.
    fn requests_begun(&self) -> u64 {
        let unframed: u64 = self.answered[Route::Unframed].values().sum();
        self.requests() - unframed + self.abandoned
    }

    /// The same once the process that counted is gone: what was being handled was abandoned, and what was connected was closed as the
    /// worker ended. After an orderly end there is neither.
    #[must_use]
    pub fn ended(&self) -> Self {
        let mut ended = self.clone();
        ended.abandoned += self.in_flight();
        let closed: u64 = self.closed.values().sum();
        ended.closed[CloseReason::Drain] += self.accepted.saturating_sub(closed);
        ended
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, u64::wrapping_add);
        self.request_time.add(&other.request_time);
        self.pool_wait.add(&other.pool_wait);
        self.database_time.add(&other.database_time);
    }

    /// What came since an earlier moment.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        since.combine(earlier, u64::saturating_sub);
        since.request_time = self.request_time.since(&earlier.request_time);
        since.pool_wait = self.pool_wait.since(&earlier.pool_wait);
        since.database_time = self.database_time.since(&earlier.database_time);
        since
    }

    fn combine(&mut self, other: &Self, with: fn(u64, u64) -> u64) {
        let closed = self.closed.values_mut().zip(other.closed.values());
        let failures = self.database_failures.values_mut().zip(other.database_failures.values());
        let answered = self.answered.values_mut().flat_map(By::values_mut);
        let answered = answered.zip(other.answered.values().flat_map(By::values));
        for (ours, theirs) in closed.chain(failures).chain(answered) {
            *ours = with(*ours, *theirs);
        }
        for (ours, theirs) in [
            (&mut self.accepted, other.accepted),
            (&mut self.accept_errors, other.accept_errors),
            (&mut self.begun, other.begun),
            (&mut self.abandoned, other.abandoned),
            (&mut self.panics, other.panics),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.reconnects, other.reconnects),
            (&mut self.cpu_ns, other.cpu_ns),
            (&mut self.busy_ns, other.busy_ns),
        ] {
            *ours = with(*ours, theirs);
        }
    }
}

impl Pool {
    /// What a worker's gauges say.
    pub fn read(counters: &WorkerCounters) -> Self {
        let gauges = &counters.pool;
        let size = gauges.size.read();
        let lanes = gauges.lanes.iter().take(size as usize).map(Gauge::read).collect();
        let (max_size, available, waiting) =
            (gauges.max_size.read(), gauges.available.read(), gauges.waiting.read());
        Self { max_size, size, available, waiting, lanes }
    }

    /// Connections that somebody uses.
    pub fn in_use(&self) -> u32 {
        self.size.saturating_sub(self.available)
    }

    /// Those of both, as one pool.
    pub fn add(&mut self, other: &Self) {
        self.max_size += other.max_size;
        self.size += other.size;
        self.available += other.available;
        self.waiting += other.waiting;
        self.lanes.extend(&other.lanes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn counted(requests: u64) -> Totals {
        let counters = WorkerCounters::default();
        for _ in 0..requests {
            counters.begun.note();
            counters.note_answer(Route::Db, 200);
            counters.request_time.note(Duration::from_micros(50));
        }
        counters.begun.note();
        counters.note_answer(Route::Unframed, 400);
        counters.note_close(CloseReason::Idle);
        Totals::read(&counters)
    }

    #[test]
    fn what_is_read_is_what_was_counted() {
        let totals = counted(3);
        assert_eq!((totals.requests(), totals.requests_of(StatusClass::Successful)), (4, 3));
        assert_eq!(totals.in_flight(), 1, "what never reached a route never was in flight");
        assert_eq!(totals.closed[CloseReason::Idle], 1);
        assert_eq!(totals.request_time.count(), 3);
    }

    #[test]
    fn of_what_has_ended_nothing_is_under_way_or_connected() {
        let counted = Totals { accepted: 5, ..counted(3) };
        let ended = counted.ended();
        assert_eq!((ended.in_flight(), ended.abandoned), (0, 1));
        assert_eq!((ended.closed[CloseReason::Idle], ended.closed[CloseReason::Drain]), (1, 4));
        assert_eq!(ended.ended(), ended, "what ended in order has nothing left");
    }

    #[test]
    fn totals_add_up_and_take_away_in_every_field() {
        let (first, second) = (counted(3), counted(5));
        let mut both = first.clone();
        both.add(&second);
        assert_eq!(both.since(&first), second);
        assert_eq!(both.since(&both), Totals::default());
        assert_eq!(both.requests(), 10);
    }
}
