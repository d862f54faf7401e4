//! From two samples to what is shown.
//!
//! **Invariant:** pure: the same samples give the same page. A worker that was not there in the earlier sample counts from its start.

use std::time::Duration;

use super::{
    AcceptSkew, Now, Point, ProcessStatus, Rates, Sample, Service, Status, Times, VERSION, WorkerStatus,
    servers, skew,
};
use crate::telemetry::histogram::Distribution;
use crate::telemetry::labels::StatusClass;
use crate::telemetry::snapshot::{Process, Totals};
use crate::tuning::littles_law::{self, Implied, Measured};

/// Works the page out: of how it is now, of what came since `earlier`, and of what the history holds.
pub fn work_out(service: &Service, earlier: &Sample, now: &Sample, history: Vec<Point>) -> Status {
    let seconds = seconds_between(earlier, now);
    let totals = now.totals();
    let recent = rates(&totals.since(&earlier.totals()), seconds, now.workers().count());
    let processes: Vec<ProcessStatus> = now
        .processes
        .iter()
        .map(|process| {
            let before = earlier.processes.iter().find(|before| before.pid == process.pid);
            show(process, before, seconds)
        })
        .collect();
    let not_ready = reasons(now);
    Status {
        version: VERSION,
        at_unix_ms: now.at_unix_ms,
        service: service.clone(),
        uptime_s: Duration::from_nanos(now.at_ns).as_secs_f64(),
        ready: not_ready.is_empty(),
        not_ready,
        paused: now.processes.iter().any(|process| process.paused),
        now: now_of(now, &totals),
        implied: imply(&recent, service.cores),
        totals,
        recent,
        hosts: servers::show(earlier, now, seconds),
        processes,
        accept_skew: accept_skew(earlier, now, service),
        history,
    }
}

/// A moment of the history: what came between two samples, and how it was at the later.
pub fn point(earlier: &Sample, now: &Sample) -> Point {
    let totals = now.totals();
    let recent =
        rates(&totals.since(&earlier.totals()), seconds_between(earlier, now), now.workers().count());
    let state = now_of(now, &totals);
    let waits = [&recent.pool_wait, &recent.database].map(|times| times.mean_us);
    Point {
        at_unix_ms: now.at_unix_ms,
        requests: recent.requests,
        errors: recent.errors,
        p50_us: recent.request.p50_us,
        p99_us: recent.request.p99_us,
        wait_us: waits[1].map(|database| database + waits[0].unwrap_or(0.0)),
        work_us: recent.cpu_us,
        busy: recent.busy,
        open: state.open,
        open_by_worker: now.workers().map(|worker| worker.state.open).collect(),
        pool_max_size: state.pool.max_size,
        pool_in_use: state.pool.in_use(),
        pool_waiting: state.pool.waiting,
    }
}

/// Why the service should get no requests now; empty where it may.
pub fn reasons(now: &Sample) -> Vec<String> {
    let mut reasons = Vec::new();
    let lasting: Vec<&Process> = now.processes.iter().filter(|process| !process.draining).collect();
    let serving: Vec<&Process> = lasting.iter().copied().filter(|process| !process.silent).collect();
    if now.processes.is_empty() {
        reasons.push("no process has answered".into());
    } else if lasting.is_empty() {
        reasons.push("it is stopping".into());
    } else if serving.is_empty() {
        reasons.push("no process answers".into());
    }
    if let Some(trouble) = serving.iter().find_map(|process| process.database_trouble.as_ref())
        && !serving.iter().any(|process| process.database_reached)
    {
        reasons.push(format!("the database is not reached: {trouble}"));
    }
    if serving.iter().all(|process| process.reads_trouble.is_some()) {
        reasons.extend(serving.first().and_then(|process| process.reads_trouble.clone()));
    }
    reasons.extend(serving.iter().find_map(|process| process.memory_trouble.clone()));
    let is_full = |process: &&&Process| {
        let open: u64 = process.workers.iter().map(|worker| worker.state.open).sum();
        open >= process.max_connections
    };
    let full = serving.iter().filter(is_full).count();
    if full > 0 && full == serving.len() {
        reasons.push("all connections of --max-connections are taken".into());
    }
    reasons
}

fn seconds_between(earlier: &Sample, now: &Sample) -> f64 {
    Duration::from_nanos(now.at_ns.saturating_sub(earlier.at_ns)).as_secs_f64()
}

fn show(process: &Process, before: Option<&Process>, seconds: f64) -> ProcessStatus {
    let workers = process.workers.iter().enumerate().map(|(index, worker)| {
        let before = before.and_then(|before| before.workers.get(index));
        let since = match before {
            Some(before) => worker.totals.since(&before.totals),
            None => worker.totals.clone(),
        };
        WorkerStatus {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            thread_id: worker.thread_id,
            open: worker.state.open,
            parked: worker.state.parked,
            accepted: worker.totals.accepted,
            requests: worker.totals.requests(),
            errors: worker.totals.requests_of(StatusClass::ServerError),
            in_flight: worker.totals.in_flight(),
            pool: worker.state.pool.clone(),
            reads: worker.state.reads.clone(),
            recent: rates(&since, seconds, 1),
        }
    });
    ProcessStatus {
        index: process.index,
        pid: process.pid,
        draining: process.draining,
        silent: process.silent,
        resident_bytes: process.resident_bytes,
        max_connections: process.max_connections,
        workers: workers.collect(),
    }
}

fn now_of(now: &Sample, totals: &Totals) -> Now {
    let mut state = Now { in_flight: totals.in_flight(), ..Now::default() };
    for worker in now.workers() {
        state.open += worker.state.open;
        state.parked += worker.state.parked;
        state.pool.add(&worker.state.pool);
        if let Some(reads) = &worker.state.reads {
            state.reads.get_or_insert_default().add(reads);
        }
    }
    state.resident_bytes = now.processes.iter().filter_map(|process| process.resident_bytes).sum();
    state
}

/// What came in so many seconds on so many workers.
#[expect(clippy::cast_precision_loss, reason = "what comes between two samples stays far below 2^52")]
fn rates(since: &Totals, seconds: f64, workers: usize) -> Rates {
    let a_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let requests = since.requests();
    let cpu_ns = since.cpu_ns as f64;
    Rates {
        seconds,
        requests: a_second(requests),
        errors: a_second(since.requests_of(StatusClass::ServerError)),
        accepted: a_second(since.accepted),
        bytes_in: a_second(since.bytes_in),
        bytes_out: a_second(since.bytes_out),
        cpu: a_second(since.cpu_ns) / 1e9,
        busy: (a_second(since.busy_ns) / 1e9 / workers.max(1) as f64).min(1.0),
        cpu_us: (requests > 0 && since.cpu_ns > 0).then(|| cpu_ns / 1e3 / requests as f64),
        request: times(&since.request_time),
        pool_wait: times(&since.pool_wait),
        database: times(&since.database_time),
    }
}

fn times(of: &Distribution) -> Times {
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    Times {
        count: of.count(),
        mean_us: of.mean().map(us),
        p50_us: of.quantile(0.5).map(us),
        p90_us: of.quantile(0.9).map(us),
        p99_us: of.quantile(0.99).map(us),
    }
}

/// What the wait implies, over all requests: those that did not ask the database waited for nothing.
fn imply(recent: &Rates, cores: u32) -> Option<Implied> {
    let us = |us: f64| Duration::from_secs_f64(us / 1e6);
    #[expect(clippy::cast_precision_loss, reason = "what comes between two samples stays far below 2^52")]
    let share = recent.database.count as f64 / recent.request.count.max(recent.database.count) as f64;
    let (work, wait) = (us(recent.cpu_us?), us(recent.database.mean_us? * share));
    littles_law::imply(Measured { rate: recent.requests, work, wait, cores })
}

/// By what each worker accepted since the start; where processes have been replaced, by what came of late.
fn accept_skew(earlier: &Sample, now: &Sample, service: &Service) -> AcceptSkew {
    let serving = || now.processes.iter().filter(|process| !process.draining);
    let accepted =
        |process: &Process| process.workers.iter().map(|one| one.totals.accepted).collect::<Vec<_>>();
    if now.ended.accepted == 0 {
        return skew::measure(&serving().flat_map(accepted).collect::<Vec<_>>(), &service.accept);
    }
    let of_late = serving().flat_map(|process| {
        let before = earlier.processes.iter().find(|before| before.pid == process.pid).map(accepted);
        let before = before.unwrap_or_default().into_iter().chain(std::iter::repeat(0));
        accepted(process)
            .into_iter()
            .zip(before)
            .map(|(now, before)| now.saturating_sub(before))
            .collect::<Vec<_>>()
    });
    let mut skew = skew::measure(&of_late.collect::<Vec<_>>(), &service.accept);
    skew.meaning = format!("of late, since processes were replaced: {}", skew.meaning);
    skew
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::counters::WorkerCounters;
    use crate::telemetry::hosts::Ended;
    use crate::telemetry::labels::Route;
    use crate::telemetry::snapshot::{Pool, State, Worker};

    fn service() -> Service {
        Service {
            version: "0.0.0".into(),
            pid: 1,
            started_unix: 1_000,
            processes: 1,
            workers: 2,
            accept: "reuseport".into(),
            listening: vec!["127.0.0.1:8080".into()],
            cores: 2,
            dispatch: "pipelined".into(),
            connections_total: 8,
            automatic: false,
        }
    }

    fn worker(requests: u64, work_us: u64, wait_us: u64) -> Worker {
        let counters = WorkerCounters::default();
        for _ in 0..requests {
            counters.begun.note();
            counters.note_answer(Route::Db, 200);
            counters.pool_wait.note_nothing();
            counters.database_time.note(Duration::from_micros(wait_us));
            counters.request_time.note(Duration::from_micros(work_us + wait_us));
        }
        counters.accepted.add(requests / 10);
        let cpu_ns = requests * work_us * 1_000;
        let totals = Totals { cpu_ns, busy_ns: cpu_ns, ..Totals::read(&counters) };
        let pool = Pool { max_size: 4, size: 2, available: 1, waiting: 0, lanes: vec![3, 0] };
        Worker { thread_id: Some(7), totals, state: State { open: 10, parked: 4, pool, reads: None } }
    }

    fn sample(seconds: u64, workers: Vec<Worker>) -> Sample {
        let process = Process {
            pid: 42,
            max_connections: 1_000,
            database_reached: true,
            resident_bytes: Some(5_000),
            workers,
            ..Process::default()
        };
        let at_ns = seconds * 1_000_000_000;
        let at_unix_ms = (1_000 + seconds) * 1_000;
        Sample {
            at_ns,
            at_unix_ms,
            processes: vec![process],
            ended: Totals::default(),
            ended_reads: Ended::default(),
        }
    }

    #[test]
    fn rates_are_of_what_came_between_the_samples() {
        let earlier = sample(10, vec![worker(100, 10, 32), worker(0, 0, 0)]);
        let now = sample(12, vec![worker(300, 10, 32), worker(200, 10, 32)]);
        let status = work_out(&service(), &earlier, &now, Vec::new());
        assert!((status.recent.requests - 200.0).abs() < 1e-9, "{:?}", status.recent);
        assert_eq!(status.totals.requests(), 500);
        assert!((status.uptime_s - 12.0).abs() < 1e-9);
        assert!((status.recent.cpu_us.unwrap() - 10.0).abs() < 1e-9);
        let second = &status.processes[0].workers[1];
        assert!((second.recent.requests - 100.0).abs() < 1e-9);
        assert_eq!((status.now.open, status.now.parked, status.now.pool.in_use()), (20, 8, 2));
        assert_eq!(status.now.pool.lanes, [3, 0, 3, 0]);
        let implied = status.implied.unwrap();
        assert!((implied.multiplier - 4.2).abs() < 1e-9 && implied.connections == 9, "{implied:?}");
        assert!(status.ready && status.not_ready.is_empty());
    }

    #[test]
    fn what_ended_stays_in_the_totals() {
        let earlier = sample(10, vec![worker(100, 10, 32)]);
        let mut now = sample(11, vec![worker(50, 10, 32)]);
        now.processes[0].pid = 43;
        now.ended = earlier.totals();
        let status = work_out(&service(), &earlier, &now, Vec::new());
        assert_eq!(status.totals.requests(), 150);
        assert!((status.recent.requests - 50.0).abs() < 1e-9);
        assert!((status.processes[0].workers[0].recent.requests - 50.0).abs() < 1e-9);
    }

    #[test]
    fn requests_that_ask_no_database_are_part_of_the_work_and_of_none_of_the_wait() {
        let mixed = |requests: u64, asked: u64| {
            let mut worker = worker(asked, 10, 40);
            worker.totals.answered[Route::Json][StatusClass::Successful] = requests - asked;
            worker.totals.cpu_ns = requests * 10_000;
            for _ in asked..requests {
                let counters = WorkerCounters::default();
                counters.request_time.note(Duration::from_micros(10));
                worker.totals.request_time.add(&counters.request_time.read());
            }
            worker
        };
        let status = work_out(
            &service(),
            &sample(10, vec![mixed(0, 0)]),
            &sample(11, vec![mixed(400, 100)]),
            Vec::new(),
        );
        let implied = status.implied.unwrap();
        assert!((implied.wait_to_work - 1.0).abs() < 0.05, "a quarter of 40 µs to 10 µs: {implied:?}");
        assert!((implied.waiting - 400.0 * 10e-6).abs() < 1e-4, "{implied:?}");
    }

    #[test]
    fn the_spread_of_accepts_is_of_late_where_a_process_was_replaced() {
        let accepted = |counts: [u64; 2]| {
            let workers = counts.map(|count| {
                let mut worker = worker(0, 0, 0);
                worker.totals.accepted = count;
                worker
            });
            workers.to_vec()
        };
        let (earlier, mut now) = (sample(1, accepted([90_000, 0])), sample(2, accepted([90_100, 100])));
        let whole = work_out(&service(), &earlier, &now, Vec::new()).accept_skew;
        assert!(whole.meaning.starts_with("uneven"), "{whole:?}");
        now.ended.accepted = 90_000;
        let of_late = work_out(&service(), &earlier, &now, Vec::new()).accept_skew;
        assert!(of_late.jain == Some(1.0) && of_late.meaning.starts_with("of late"), "{of_late:?}");
    }

    #[test]
    fn it_is_not_ready_while_stopping_without_database_or_full() {
        let why = |change: fn(&mut Process)| {
            let mut now = sample(1, vec![worker(1, 1, 1)]);
            change(&mut now.processes[0]);
            reasons(&now).join("; ")
        };
        assert_eq!(why(|_| {}), "");
        assert_eq!(why(|process| process.draining = true), "it is stopping");
        let lost = |process: &mut Process| {
            process.database_reached = false;
            process.database_trouble = Some("refused".into());
        };
        assert_eq!(why(lost), "the database is not reached: refused");
        assert_eq!(why(|process| process.silent = true), "no process answers");
        assert!(why(|process| process.max_connections = 10).contains("--max-connections"));
        assert_eq!(reasons(&Sample { processes: vec![], ..sample(1, vec![]) }), ["no process has answered"]);
    }

    #[test]
    fn one_process_that_answers_is_enough_and_a_silent_one_vouches_for_nothing() {
        let mut now = sample(1, vec![worker(1, 1, 1)]);
        let silent = Process { silent: true, ..now.processes[0].clone() };
        now.processes.push(silent);
        assert_eq!(reasons(&now), Vec::<String>::new());
        now.processes[0].database_reached = false;
        now.processes[0].database_trouble = Some("refused".into());
        assert_eq!(reasons(&now), ["the database is not reached: refused"]);
    }

    #[test]
    fn the_format_survives_a_round_trip_and_names_its_version() {
        let (earlier, now) = (sample(10, vec![worker(1, 1, 1)]), sample(11, vec![worker(5, 1, 1)]));
        let status = work_out(&service(), &earlier, &now, vec![point(&earlier, &now)]);
        let text = serde_json::to_string(&status).unwrap();
        assert!(text.starts_with("{\"version\":1,"), "{text}");
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    }
}
