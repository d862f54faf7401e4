//! What one worker counts.
//!
//! **Invariant:** each counter is written by one thread alone, with a plain load and store, and read by anybody: its worker's, or with
//! `--accept handoff` the acceptor's for the first worker's `accept_errors`. No two workers' counters share a cache line.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::by::Label as _;
use super::histogram::{self, Histogram};
use super::labels::{CloseReason, DatabaseFailure, Route, StatusClass};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU32);

impl Counter {
    /// One more. For the one thread that writes.
    pub fn note(&self) {
        self.add(1);
    }

    /// So many more. For the one thread that writes.
    pub fn add(&self, by: u64) {
        histogram::add(&self.0, by);
    }

    /// How many by now.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// What it is now. For the one thread that writes.
    pub fn set(&self, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// More by so many. For the one thread that writes.
    pub fn raise(&self, by: u32) {
        self.set(self.read().saturating_add(by));
    }

    /// Less by so many. For the one thread that writes.
    pub fn lower(&self, by: u32) {
        self.set(self.read().saturating_sub(by));
    }

    /// What it is.
    pub fn read(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The most lanes of one worker that are shown apart; those past it are counted with the last.
pub const MOST_LANES_SHOWN: usize = 64;

/// The counters of one worker. Two lines of cache apart, since some processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerCounters {
    /// The worker's thread, once it runs.
    pub thread_id: ThreadId,
    /// Connections taken off a listener, those that were refused for want of a place included; what an acceptor took, once its worker
    /// has it.
    pub accepted: Counter,
    /// Attempts to accept that failed for want of descriptors or memory (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`).
    pub accept_errors: Counter,
    /// Connections that ended, by [`CloseReason`].
    pub closed: [Counter; CloseReason::COUNT],
    /// Requests whose handling began.
    pub begun: Counter,
    /// Requests that were answered, by [`Route`] and [`StatusClass`].
    pub answered: [[Counter; StatusClass::COUNT]; Route::COUNT],
    /// Requests whose client left before they were answered.
    pub abandoned: Counter,
    /// Panics, each of which cost a request, a connection, or the worker's thread.
    pub panics: Counter,
    /// Bytes read from clients.
    pub bytes_in: Counter,
    /// Bytes written to clients.
    pub bytes_out: Counter,
    /// From the read that brought a request to its answer, of all that have begun: what reached no route has no time.
    pub request_time: Histogram,
    /// A request's wait for a place on a lane, or for a checkout.
    pub pool_wait: Histogram,
    /// From there to the last row, of requests that PostgreSQL served.
    pub database_time: Histogram,
    /// Requests that PostgreSQL did not serve, by [`DatabaseFailure`].
    pub database_failures: [Counter; DatabaseFailure::COUNT],
    /// Database connections opened in place of ones that were lost.
    pub reconnects: Counter,
    /// The worker's database connections.
    pub pool: PoolGauges,
    /// What its side of replicas counts, where it has one: waits, times, failures, reconnects, and the pool.
    pub reads: OnceLock<Arc<WorkerCounters>>,
}

/// A worker's database connections as they are now.
#[derive(Debug)]
pub struct PoolGauges {
    /// How many there may be.
    pub max_size: Gauge,
    /// How many are open.
    pub size: Gauge,
    /// How many of those nobody uses.
    pub available: Gauge,
    /// Requests that wait for one.
    pub waiting: Gauge,
    /// Queries in flight on each, in the order in which requests are given to them.
    pub lanes: [Gauge; MOST_LANES_SHOWN],
}

impl Default for PoolGauges {
    fn default() -> Self {
        Self {
            max_size: Gauge::default(),
            size: Gauge::default(),
            available: Gauge::default(),
            waiting: Gauge::default(),
            lanes: [const { Gauge(AtomicU32::new(0)) }; MOST_LANES_SHOWN],
        }
    }
}

/// Which thread counts.
#[derive(Debug, Default)]
pub struct ThreadId(AtomicI32);

impl PoolGauges {
    /// Forgets what a thread said that has ended: none of its connections are left.
    pub fn clear(&self) {
        let all = [&self.max_size, &self.size, &self.available, &self.waiting];
        all.into_iter().chain(&self.lanes).for_each(|gauge| gauge.set(0));
    }
}

impl ThreadId {
    /// The calling thread is the one.
    pub fn set_current(&self) {
        self.0.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Relaxed);
    }

    /// The thread's id, once it runs.
    pub fn read(&self) -> Option<u32> {
        u32::try_from(self.0.load(Ordering::Relaxed)).ok().filter(|id| *id > 0)
    }
}

impl WorkerCounters {
    /// A request was answered.
    pub fn note_answer(&self, route: Route, status: u16) {
        self.answered[route.index()][StatusClass::of(status).index()].note();
    }

    /// So many connections ended.
    pub fn note_closes(&self, reason: CloseReason, count: usize) {
        self.closed[reason.index()].add(count as u64);
    }

    /// A connection ended.
    pub fn note_close(&self, reason: CloseReason) {
        self.closed[reason.index()].note();
    }

    /// PostgreSQL did not serve a request.
    pub fn note_failure(&self, failure: DatabaseFailure) {
        self.database_failures[failure.index()].note();
    }
}
