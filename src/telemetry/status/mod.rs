//! What people, pages and scripts are shown: `/status.json`, which `plimsoll status`, `top` and the live page read.
//!
//! [`work_out`](work_out::work_out) makes it of two [`Sample`]s; [`skew`] says how evenly connections came to the workers,
//! [`servers`] how the database's servers do.
//!
//! **Invariant:** `version` changes when a field changes its meaning or goes; fields may be added.

use serde::{Deserialize, Serialize};

use super::hosts::{Ended, Host};
use super::snapshot::{Pool, Process, Totals, Worker};
use crate::tuning::littles_law::Implied;

mod servers;
pub mod skew;
pub mod work_out;

pub use servers::notice;
pub use skew::AcceptSkew;

/// The version of the format.
pub const VERSION: u32 = 1;

/// What does not change while the service runs, or only by a reload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// The program's version.
    pub version: String,
    /// The process that was started: the supervisor where there are several.
    pub pid: u32,
    /// When, in seconds since 1970.
    pub started_unix: u64,
    /// Processes that serve.
    pub processes: u32,
    /// Workers in each.
    pub workers: u32,
    /// How connections come to them: `reuseport`, `shared` or `handoff`.
    pub accept: String,
    /// Where it listens.
    pub listening: Vec<String>,
    /// Cores that it may use.
    pub cores: u32,
    /// How requests share database connections: `pipelined` or `exclusive`.
    pub dispatch: String,
    /// Database connections by the plan, over all workers.
    pub connections_total: u32,
    /// Whether the sizes of the pools follow what is measured.
    pub automatic: bool,
}

/// Everything that was known at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When, in nanoseconds of a clock that only goes forward.
    pub at_ns: u64,
    /// When, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// What the processes that serve have said.
    pub processes: Vec<Process>,
    /// What processes that have ended had counted.
    pub ended: Totals,
    /// What they had sent to each server that is read from.
    pub ended_reads: Ended,
}

/// The whole page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the format.
    pub version: u32,
    /// When it was taken, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The service.
    pub service: Service,
    /// For how long it has run, in seconds.
    pub uptime_s: f64,
    /// Whether it is ready for requests.
    pub ready: bool,
    /// Why not, a line each.
    pub not_ready: Vec<String>,
    /// Whether requests for the database are held back.
    pub paused: bool,
    /// Since the start, those of processes that have ended included.
    pub totals: Totals,
    /// Connections and database connections now, over all workers.
    pub now: Now,
    /// Over the last while.
    pub recent: Rates,
    /// The database's servers, where reads go to others than writes: the one that takes writes first, then those that are read from.
    #[serde(default)]
    pub hosts: Vec<HostStatus>,
    /// Each process.
    pub processes: Vec<ProcessStatus>,
    /// How evenly connections came to the workers.
    pub accept_skew: AcceptSkew,
    /// What the wait implies; none before a request asked the database.
    pub implied: Option<Implied>,
    /// The last minutes, oldest first.
    pub history: Vec<Point>,
}

/// What is so now, over all workers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Now {
    /// Connections that are open.
    pub open: u64,
    /// Those of them that are parked.
    pub parked: u64,
    /// Requests that are being handled.
    pub in_flight: u64,
    /// Memory that is resident, over all processes, in bytes.
    pub resident_bytes: u64,
    /// The database connections.
    pub pool: Pool,
    /// Those to replicas, where reads have their own; `pool` holds none of them.
    #[serde(default)]
    pub reads: Option<Pool>,
}

/// One of the database's servers, as all processes together see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostStatus {
    /// What is known of it.
    #[serde(flatten)]
    pub host: Host,
    /// Requests sent there a second, over the last while; not counted for writes.
    pub served_rate: Option<f64>,
}

/// What happened in a while, for each second of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// The while, in seconds.
    pub seconds: f64,
    /// Requests answered a second.
    pub requests: f64,
    /// Requests answered with 5xx a second.
    pub errors: f64,
    /// Connections accepted a second.
    pub accepted: f64,
    /// Bytes read from clients a second.
    pub bytes_in: f64,
    /// Bytes written to clients a second.
    pub bytes_out: f64,
    /// Cores' worth of processor time that the workers' threads took.
    pub cpu: f64,
    /// The share of time in which workers' event loops did not wait, from 0 to 1.
    pub busy: f64,
    /// Processor time for each request, in microseconds; none without a request.
    pub cpu_us: Option<f64>,
    /// From a request's arrival to its answer.
    pub request: Times,
    /// Waits for a place on a lane, or for a checkout.
    pub pool_wait: Times,
    /// From there to the last row.
    pub database: Times,
}

/// How long something took, in microseconds; none where nothing took any.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// How many there were.
    pub count: u64,
    /// The mean.
    pub mean_us: Option<f64>,
    /// Half of them took no longer.
    pub p50_us: Option<f64>,
    /// Nine in ten took no longer.
    pub p90_us: Option<f64>,
    /// 99 in a hundred took no longer.
    pub p99_us: Option<f64>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Its index.
    pub index: u32,
    /// Its id.
    pub pid: u32,
    /// Whether it was told to end.
    pub draining: bool,
    /// Whether it did not answer in time, and this is what it said last.
    #[serde(default)]
    pub silent: bool,
    /// Memory that is resident, in bytes.
    pub resident_bytes: Option<u64>,
    /// Client connections that it may have.
    pub max_connections: u64,
    /// Its workers.
    pub workers: Vec<WorkerStatus>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its index in the process.
    pub index: u32,
    /// Its thread.
    pub thread_id: Option<u32>,
    /// Connections that are open.
    pub open: u64,
    /// Those of them that are parked.
    pub parked: u64,
    /// Connections taken off a listener since the start.
    pub accepted: u64,
    /// Requests answered since the start.
    pub requests: u64,
    /// Requests answered with 5xx since the start.
    pub errors: u64,
    /// Requests that are being handled.
    pub in_flight: u64,
    /// Its database connections.
    pub pool: Pool,
    /// Those to replicas, where reads have their own.
    #[serde(default)]
    pub reads: Option<Pool>,
    /// Over the last while.
    pub recent: Rates,
}

/// A moment of the history.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Milliseconds since 1970.
    pub at_unix_ms: u64,
    /// Requests answered a second.
    pub requests: f64,
    /// Requests answered with 5xx a second.
    pub errors: f64,
    /// Half of the requests took no longer, in microseconds.
    pub p50_us: Option<f64>,
    /// 99 in a hundred took no longer, in microseconds.
    pub p99_us: Option<f64>,
    /// The mean time on the way to PostgreSQL and back, waits for a connection included, in microseconds.
    pub wait_us: Option<f64>,
    /// Processor time for each request, in microseconds.
    pub work_us: Option<f64>,
    /// The share of time in which workers did not wait, from 0 to 1.
    pub busy: f64,
    /// Connections that are open.
    pub open: u64,
    /// Connections of each worker.
    pub open_by_worker: Vec<u64>,
    /// Database connections there may be.
    pub pool_max_size: u32,
    /// Database connections in use.
    pub pool_in_use: u32,
    /// Requests that wait for one.
    pub pool_waiting: u32,
}

impl Sample {
    /// All workers, process by process.
    pub fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.processes.iter().flat_map(|process| &process.workers)
    }

    /// What all workers have counted, those that have ended included.
    pub fn totals(&self) -> Totals {
        let mut totals = self.ended.clone();
        self.workers().for_each(|worker| totals.add(&worker.totals));
        totals
    }
}
