//! What holding came to: as text, as JSON, and as an answer to `--fail-if`.
//!
//! **Invariant:** a connection that was asked for is opened or not, then lost or not, then answered or not: none is counted twice. Only a 2xx
//! answers the first request and the last.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::super::report::{
    COLUMNS, Latencies, Spread, active_by_time, active_fraction, float, list, per_second, write_active,
};
use super::super::stats::Stats;
use super::memory::{PerConnection, Reading};
use super::run::{Held, HoldJob, Stage};
use crate::config::load::{Measured, Metric};

/// Requests over the connections that were active.
#[derive(Debug, Serialize)]
struct Traffic {
    connections: u32,
    requests: u64,
    rate_asked: Option<u64>,
    rate_achieved: f64,
    unsent: u64,
    errors: u64,
    errors_by_kind: BTreeMap<&'static str, u64>,
    non_2xx: u64,
    statuses: BTreeMap<u16, u64>,
    latency_us: Latencies,
    active_fraction: Option<f64>,
    active_fraction_by_time: f64,
}

/// Memory, read three times.
#[derive(Debug, Serialize)]
struct Memory {
    before: Reading,
    opened: Reading,
    held: Reading,
}

/// Seconds of each step.
#[derive(Debug, Serialize)]
struct Seconds {
    opening: f64,
    holding: Option<f64>,
    sweep: Option<f64>,
    closing: f64,
}

/// The report on one holding.
#[derive(Debug, Serialize)]
pub struct HoldReport {
    connections: u32,
    processes: u32,
    server_processes: usize,
    opened: u64,
    refused: u64,
    /// Of connections that did not open, and of first requests, whose connections are among the lost.
    opening_failures_by_kind: BTreeMap<&'static str, u64>,
    /// First requests answered with 2xx; the others, whatever became of their connections, are unanswered.
    first_requests: Option<u64>,
    first_unanswered: Option<u64>,
    first_statuses: BTreeMap<u16, u64>,
    lost: u64,
    /// Connections that answered with 2xx in the end, and those that were still there and did not.
    answered: Option<u64>,
    unanswered: Option<u64>,
    sweep_statuses: BTreeMap<u16, u64>,
    /// Answers with another status than 2xx: to first requests, in the traffic, and in the end.
    non_2xx: u64,
    cut_short: Option<String>,
    seconds: Seconds,
    traffic: Option<Traffic>,
    first_latency_us: Option<Spread>,
    sweep_latency_us: Option<Spread>,
    memory: Memory,
    bytes_each_opened: Option<PerConnection>,
    bytes_each_held: Option<PerConnection>,
    #[serde(skip)]
    traffic_stats: Stats,
}

impl HoldReport {
    /// Puts together what was asked for and what came.
    pub fn new(job: &HoldJob, held: Held) -> Self {
        let Held { opening, holding, sweep, memory, .. } = held;
        let [before, at_opened, at_held] = memory;
        let opened = opening.stats.opened;
        let left = holding.as_ref().map_or(opening.open, |stage| stage.open);
        let first = job.first_request.then(|| succeeded(&opening.stats));
        let answered = sweep.as_ref().map(|stage| succeeded(&stage.stats));
        let stages = [Some(&opening), holding.as_ref(), sweep.as_ref()];
        Self {
            connections: job.connections.get(),
            processes: held.processes,
            server_processes: held.server_processes,
            opened,
            refused: u64::from(job.connections.get()).saturating_sub(opened),
            opening_failures_by_kind: opening.stats.failures_by_name(),
            first_requests: first,
            first_unanswered: first.map(|first| opened.saturating_sub(first)),
            first_statuses: opening.stats.statuses.clone(),
            lost: opened.saturating_sub(left),
            answered,
            unanswered: answered.map(|answered| left.saturating_sub(answered)),
            sweep_statuses: sweep.as_ref().map(|stage| stage.stats.statuses.clone()).unwrap_or_default(),
            non_2xx: stages.into_iter().flatten().map(|stage| stage.stats.non_success()).sum(),
            cut_short: held.cut_short,
            seconds: Seconds {
                opening: opening.elapsed.as_secs_f64(),
                holding: holding.as_ref().map(|stage| stage.elapsed.as_secs_f64()),
                sweep: sweep.as_ref().map(|stage| stage.elapsed.as_secs_f64()),
                closing: held.closing.as_secs_f64(),
            },
            traffic: holding.as_ref().filter(|_| job.active > 0).map(|stage| traffic(job, stage)),
            first_latency_us: Spread::of(&opening.stats.raw),
            sweep_latency_us: sweep.as_ref().and_then(|stage| Spread::of(&stage.stats.raw)),
            memory: Memory { before, opened: at_opened, held: at_held },
            bytes_each_opened: PerConnection::between(&before, &at_opened, opening.open),
            bytes_each_held: PerConnection::between(&before, &at_held, left),
            traffic_stats: holding.map(|stage| stage.stats).unwrap_or_default(),
        }
    }

    /// Why this is no success; none where every connection was opened, held, and answered.
    pub fn shortfall(&self) -> Option<String> {
        let Self { connections, refused, lost, .. } = self;
        if let Some(why) = &self.cut_short {
            return Some(format!("not every connection was asked: {why}"));
        }
        let (first, last) = (self.first_unanswered.unwrap_or_default(), self.unanswered.unwrap_or_default());
        (refused + first + lost + last > 0).then(|| {
            format!(
                "of {connections} connections {refused} could not be opened, {lost} were lost while they were held, {first} did not answer \
                 their first request with 2xx, and {last} did not in the end. `plimsoll doctor --connections {connections} --clients here` \
                 says what limits them; a server closes what is idle for longer than its --idle-timeout, and its log says why it \
                 answers with an error"
            )
        })
    }
}

/// Answers with 2xx.
fn succeeded(stats: &Stats) -> u64 {
    stats.answered().saturating_sub(stats.non_success())
}

fn traffic(job: &HoldJob, stage: &Stage) -> Traffic {
    let stats = &stage.stats;
    let window = stage.elapsed.min(job.hold_for);
    let rate = per_second(stats.in_window, window);
    Traffic {
        connections: job.active,
        requests: stats.answered(),
        rate_asked: job.rate.map(std::num::NonZero::get),
        rate_achieved: rate,
        unsent: stats.unsent,
        errors: stats.failed(),
        errors_by_kind: stats.failures_by_name(),
        non_2xx: stats.non_success(),
        statuses: stats.statuses.clone(),
        latency_us: Latencies {
            corrected: job.rate.and_then(|_| Spread::of(&stats.corrected)),
            raw: Spread::of(&stats.raw),
        },
        active_fraction: active_fraction(&stats.raw, rate, job.active),
        active_fraction_by_time: active_by_time(stats, window, job.active),
    }
}

impl Measured for HoldReport {
    fn value(&self, metric: Metric) -> Option<f64> {
        let stats = &self.traffic_stats;
        let open_loop = self.traffic.as_ref().is_some_and(|traffic| traffic.rate_asked.is_some());
        let latency = |raw: bool| if raw || !open_loop { &stats.raw } else { &stats.corrected };
        match metric {
            Metric::Quantile { millipercent, raw } => {
                latency(raw).quantile_us(f64::from(millipercent) / 100_000.0).map(float)
            }
            Metric::Max { raw } => latency(raw).max_us().map(float),
            Metric::Mean { raw } => latency(raw).mean_us(),
            Metric::Rate => self.traffic.as_ref().map(|traffic| traffic.rate_achieved),
            // Connections: a request that failed lost its own, which is counted already.
            Metric::Errors => Some(float(self.refused + self.lost + self.unanswered.unwrap_or_default())),
            Metric::NonSuccess => Some(float(self.non_2xx)),
            Metric::ActiveFraction => self.traffic.as_ref().and_then(|traffic| traffic.active_fraction),
        }
    }
}

impl fmt::Display for HoldReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, processes, opened, refused, lost, seconds, .. } = self;
        writeln!(f, "{connections} connections in {processes} processes")?;
        writeln!(f, "  opened      {opened}, {refused} not, in {:.1} s", seconds.opening)?;
        if !self.opening_failures_by_kind.is_empty() {
            let failures = list(self.opening_failures_by_kind.iter());
            writeln!(f, "  failures    {failures} (in opening, and of first requests)")?;
        }
        if let (Some(first), Some(unanswered)) = (self.first_requests, self.first_unanswered) {
            let statuses = list(self.first_statuses.iter());
            writeln!(
                f,
                "  first       {first} answered as they opened, {unanswered} did not; statuses {statuses}"
            )?;
        }
        let held = seconds.holding.unwrap_or_default();
        writeln!(f, "  held        {} for {held:.1} s, {lost} lost", opened.saturating_sub(*lost))?;
        if let (Some(answered), Some(unanswered)) = (self.answered, self.unanswered) {
            let sweep = seconds.sweep.unwrap_or_default();
            let statuses = list(self.sweep_statuses.iter());
            writeln!(
                f,
                "  swept       {answered} answered, {unanswered} did not, in {sweep:.1} s; statuses {statuses}"
            )?;
        }
        writeln!(f, "  closed      in {:.1} s", seconds.closing)?;
        if let Some(traffic) = &self.traffic {
            write!(f, "{traffic}")?;
        }
        writeln!(f, "  latency     {COLUMNS}")?;
        let corrected = self.traffic.as_ref().and_then(|traffic| traffic.latency_us.corrected.as_ref());
        let raw = self.traffic.as_ref().and_then(|traffic| traffic.latency_us.raw.as_ref());
        for (name, spread) in [
            ("first", self.first_latency_us.as_ref()),
            ("corrected", corrected),
            ("raw", raw),
            ("sweep", self.sweep_latency_us.as_ref()),
        ] {
            if let Some(spread) = spread {
                writeln!(f, "    {name:<10}{spread}")?;
            }
        }
        writeln!(f, "  bytes each         client    server    kernel (all ends on this machine)")?;
        for (name, each) in [("opened", self.bytes_each_opened), ("held", self.bytes_each_held)] {
            if let Some(PerConnection { client_user, server_user, kernel }) = each {
                write!(f, "    {name:<10}")?;
                for bytes in [client_user, server_user, kernel] {
                    write!(f, "{:>10}", bytes.map_or_else(|| "-".into(), |bytes| bytes.to_string()))?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, requests, errors, unsent, .. } = self;
        writeln!(
            f,
            "  traffic     over {connections}: {requests} answered, {errors} failed, {unsent} never sent"
        )?;
        let asked =
            self.rate_asked.map_or_else(|| "as fast as it is answered".into(), |rate| format!("{rate}/s"));
        writeln!(f, "  rate        {:.1}/s achieved, asked: {asked}", self.rate_achieved)?;
        writeln!(f, "  statuses    {}", list(self.statuses.iter()))?;
        writeln!(f, "  errors      {}", list(self.errors_by_kind.iter()))?;
        match self.active_fraction {
            Some(fraction) => write_active(f, fraction, self.active_fraction_by_time),
            None => Ok(()),
        }
    }
}
