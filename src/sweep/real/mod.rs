//! The real measurement: a server of ours, freshly started, under our own load; and what the kernel and PostgreSQL say meanwhile.
//!
//! Each visit starts the server ([`server`]) with the point's settings, loads it uncounted, and then loads it once more ([`load`]), with
//! every count taken right before and right after: processor times from the kernel, waits from the server's own page.
//! PostgreSQL is the same for all points ([`backing`]), behind a delay where one is asked for ([`wire`]).
//!
//! **Invariant:** a visit leaves no process behind, however it ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::grid::Point;
use super::schedule::{Failure, Measure};
use super::summary::Reading;
use crate::config::load::Url;
use crate::config::sweep::{Axis, Course};
use crate::kernel::usage::ProcessTable;
use crate::telemetry::snapshot::Totals;

pub(crate) mod backing;
mod child;
mod load;
mod server;
mod wire;

pub(crate) use backing::{Backing, Unprepared};

/// Between two looks at what PostgreSQL's sessions do: twenty a second.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What is measured.
pub(crate) enum Subject {
    /// Servers of our own, in front of this database.
    Ours(Box<Backing>),
    /// A server that runs elsewhere.
    Elsewhere(Url),
}

/// Measures with processes of this program.
pub(crate) struct Real<'a> {
    /// This program.
    pub(crate) program: PathBuf,
    /// What all points share.
    pub(crate) course: &'a Course,
    /// Who is measured.
    pub(crate) subject: Subject,
    /// Set where somebody asks for an end.
    pub(crate) stop: Arc<AtomicBool>,
}

/// What was counted at one moment.
struct Counts {
    server: Option<Duration>,
    database: Option<Duration>,
    wire: Option<Duration>,
    totals: Option<Totals>,
}

/// Sessions at work among all of ours, over many looks.
#[derive(Default)]
struct Busy {
    active: u64,
    sessions: u64,
}

impl Measure for Real<'_> {
    fn measure(&mut self, point: &Point) -> Result<Reading, Failure> {
        match &self.subject {
            Subject::Ours(backing) => {
                let axis = self.course.axis;
                let processes = if axis == Axis::Processes { point.size } else { 1 };
                let flags = point.flags(axis, self.course.cores);
                let server =
                    server::Server::start(&self.program, &flags, backing.address(), processes, &self.stop)?;
                let url = format!("http://{}{}", server.address(), point.workload.route);
                self.visit(point, &url, Some((&server, backing)))
            }
            Subject::Elsewhere(url) => {
                self.visit(point, &format!("http://{}{}", url.authority, point.workload.route), None)
            }
        }
    }
}

type Ours<'a> = Option<(&'a server::Server, &'a Backing)>;

impl Real<'_> {
    /// Loads what answers at this URL, and reads what that cost.
    fn visit(&self, point: &Point, url: &str, ours: Ours<'_>) -> Result<Reading, Failure> {
        let job =
            load::Job { program: &self.program, url, point, threads: self.course.threads, stop: &self.stop };
        if !self.course.warm_up.is_zero() {
            job.run(self.course.warm_up, &mut || {})?;
        }
        let before = count(ours)?;
        let mut busy = Busy::default();
        let mut looked = Instant::now();
        let mut look = || {
            if let Some((_, backing)) = ours
                && looked.elapsed() >= BETWEEN_LOOKS
            {
                busy.look(backing);
                looked = Instant::now();
            }
        };
        let answer = job.run(self.course.measured, &mut look)?;
        let after = count(ours)?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(Failure::Stopped);
        }
        Ok(reading(&answer, &before, &after, &busy))
    }
}

/// What has been used and counted so far.
fn count(ours: Ours<'_>) -> Result<Counts, Failure> {
    let Some((server, backing)) = ours else {
        return Ok(Counts { server: None, database: None, wire: None, totals: None });
    };
    let table = ProcessTable::read();
    let used = |pid: Option<u32>| table.tree_time(pid?);
    Ok(Counts {
        server: used(Some(server.pid())),
        database: used(backing.postmaster()),
        wire: used(backing.wire()),
        totals: server.totals()?,
    })
}

impl Busy {
    fn look(&mut self, backing: &Backing) {
        // A look that fails is one look less.
        if let Ok(activity) = backing.look() {
            self.active += activity.active;
            self.sessions += activity.sessions;
        }
    }
}

/// Puts a visit's counts together.
fn reading(answer: &load::Answer, before: &Counts, after: &Counts, busy: &Busy) -> Reading {
    let served = answer.requests.saturating_sub(answer.non_2xx);
    let each = |before: Option<Duration>, after: Option<Duration>| {
        (answer.requests > 0).then_some(())?;
        Some(after?.saturating_sub(before?).as_secs_f64() * 1e6 / float(answer.requests))
    };
    let totals = before.totals.as_ref().zip(after.totals.as_ref()).map(|(before, after)| after.since(before));
    let us = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64() * 1e6);
    let latency = answer.latency_us.raw.as_ref();
    Reading {
        rate: if answer.requests > 0 {
            answer.rate_achieved * float(served) / float(answer.requests)
        } else {
            0.0
        },
        p50_us: latency.map(|latency| float(latency.p50)),
        p99_us: latency.map(|latency| float(latency.p99)),
        requests: answer.requests,
        failed: answer.errors + answer.non_2xx,
        server_cpu_us: each(before.server, after.server),
        database_cpu_us: each(before.database, after.database),
        delay_cpu_us: each(before.wire, after.wire),
        load_cpu_us: answer.client_cpu_us_per_request,
        pool_wait_us: us(totals.as_ref().and_then(|totals| totals.pool_wait.mean())),
        pool_wait_p99_us: us(totals.as_ref().and_then(|totals| totals.pool_wait.quantile(0.99))),
        database_us: us(totals.as_ref().and_then(|totals| totals.database_time.mean())),
        database_busy: (busy.sessions > 0).then(|| float(busy.active) / float(busy.sessions)),
    }
}

/// Counts here stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53, and a mean rounds far earlier")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(ms: u64) -> Counts {
        let used = Some(Duration::from_millis(ms));
        Counts { server: used, database: Some(Duration::from_millis(2 * ms)), wire: None, totals: None }
    }

    #[test]
    fn what_was_used_is_divided_by_what_was_answered_and_only_2xx_count_as_served() {
        let text = r#"{"requests": 1000, "rate_achieved": 500.0, "errors": 3, "non_2xx": 100,
            "latency_us": {"corrected": null, "raw": {"p50": 120, "p99": 900, "count": 1000}}, "client_cpu_us_per_request": 7.5}"#;
        let answer: load::Answer = serde_json::from_str(text).unwrap();
        let reading = reading(&answer, &counts(50), &counts(90), &Busy { active: 3, sessions: 12 });
        assert!((reading.rate - 450.0).abs() < 1e-9, "{reading:?}");
        assert_eq!(
            (reading.server_cpu_us, reading.database_cpu_us, reading.delay_cpu_us),
            (Some(40.0), Some(80.0), None)
        );
        assert_eq!((reading.failed, reading.p99_us, reading.database_busy), (103, Some(900.0), Some(0.25)));
    }
}
