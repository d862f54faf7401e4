//! Pages for the tests of what is drawn, worked out as the service works them out.
//!
//! **Invariant:** made by the same code as a real page, from counters.

use std::time::Duration;

use crate::telemetry::counters::WorkerCounters;
use crate::telemetry::hosts::{Ended, Host, Role, Side};
use crate::telemetry::labels::{CloseReason, Route};
use crate::telemetry::snapshot::{Pool, Process, State, Totals, Worker};
use crate::telemetry::status::work_out::{point, work_out};
use crate::telemetry::status::{Sample, Service, Status};

/// So many processes with so many workers each, of which each answered 200 requests a second, the first of all one with an error.
pub(in crate::commands) fn busy(processes: u32, workers: u32) -> Status {
    let samples: Vec<Sample> = (0..5).map(|second| sample(second * 10, processes, workers)).collect();
    let history = samples.windows(2).map(|pair| point(&pair[0], &pair[1])).collect();
    work_out(&service(processes, workers), &samples[3], &samples[4], history)
}

/// One that reads from two servers, of which one is left out.
pub(in crate::commands) fn replicated() -> Status {
    let samples: Vec<Sample> = (3..5)
        .map(|second| {
            let mut sample = sample(second * 10, 1, 2);
            sample.processes[0].hosts = hosts(second * 4_000);
            for worker in &mut sample.processes[0].workers {
                worker.state.reads = Some(worker.state.pool.clone());
            }
            sample
        })
        .collect();
    work_out(&service(1, 2), &samples[0], &samples[1], Vec::new())
}

fn hosts(served: u64) -> Vec<Host> {
    let near = Host {
        side: Side::Reads,
        at: "db2:5432".into(),
        role: Some(Role::Standby),
        lag_ms: Some(300),
        in_use: true,
        left_out: None,
        open: 8,
        served: Some(served),
    };
    let late = "it is 12.0 s behind the primary, and --max-replica-lag is 10s";
    let far = Host {
        at: "db3:5432".into(),
        lag_ms: Some(12_000),
        in_use: false,
        left_out: Some(late.into()),
        open: 0,
        served: Some(90),
        ..near.clone()
    };
    let primary = Host {
        side: Side::Writes,
        at: "db1:5432".into(),
        role: Some(Role::Primary),
        lag_ms: None,
        open: 4,
        served: None,
        ..near.clone()
    };
    vec![primary, near, far]
}

/// One process whose two workers nobody asked anything.
pub(in crate::commands) fn quiet() -> Status {
    let mut samples = [sample(0, 1, 2), sample(10, 1, 2)];
    for sample in &mut samples {
        sample.processes[0].workers = vec![Worker::default(), Worker::default()];
    }
    work_out(&service(1, 2), &samples[0], &samples[1], Vec::new())
}

fn service(processes: u32, workers: u32) -> Service {
    Service {
        version: "0.1.0".into(),
        pid: 4711,
        started_unix: 1_000,
        processes,
        workers,
        accept: "reuseport".into(),
        listening: vec!["127.0.0.1:8080".into()],
        cores: 2,
        dispatch: "pipelined".into(),
        connections_total: 4 * processes * workers,
        automatic: false,
    }
}

fn sample(second: u64, processes: u32, workers: u32) -> Sample {
    let process = |index: u32| Process {
        index,
        pid: 5_000 + index,
        max_connections: 1_000,
        database_reached: true,
        resident_bytes: Some(12 << 20),
        workers: (0..workers).map(|at| worker(second * 200, index + at == 0)).collect(),
        ..Process::default()
    };
    Sample {
        at_ns: second * 1_000_000_000,
        at_unix_ms: (1_000 + second) * 1_000,
        processes: (0..processes).map(process).collect(),
        ended: Totals::default(),
        ended_reads: Ended::default(),
    }
}

fn worker(requests: u64, with_error: bool) -> Worker {
    let counters = WorkerCounters::default();
    for request in 0..requests {
        counters.begun.note();
        counters.note_answer(Route::Db, if with_error && request == 0 { 503 } else { 200 });
        counters.pool_wait.note(Duration::from_micros(1));
        counters.database_time.note(Duration::from_micros(32));
        counters.request_time.note(Duration::from_micros(46));
    }
    counters.accepted.add(34);
    for _ in 0..4 {
        counters.note_close(CloseReason::Idle);
    }
    let cpu_ns = requests * 10_000;
    let totals = Totals { cpu_ns, busy_ns: cpu_ns * 2, ..Totals::read(&counters) };
    let pool = Pool { max_size: 4, size: 3, available: 1, waiting: 0, lanes: vec![3, 1, 0] };
    Worker { thread_id: Some(7), totals, state: State { open: 30, parked: 12, pool, reads: None } }
}
