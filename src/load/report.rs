//! What a run says about a server: as text, as JSON, and as an answer to `--fail-if`.
//!
//! **Invariant:** what was asked for stands beside what was achieved, and corrected latency beside raw.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::run::{Job, Outcome};
use super::stats::{Latency, Stats};
use crate::config::load::{Measured, Metric};

/// A distribution in numbers; microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Spread {
    p50: u64,
    p90: u64,
    p99: u64,
    #[serde(rename = "p99.9")]
    p99_9: u64,
    max: u64,
    mean: f64,
    count: u64,
}

impl Spread {
    /// None where nothing was counted.
    pub fn of(latency: &Latency) -> Option<Self> {
        Some(Self {
            p50: latency.quantile_us(0.5)?,
            p90: latency.quantile_us(0.9)?,
            p99: latency.quantile_us(0.99)?,
            p99_9: latency.quantile_us(0.999)?,
            max: latency.max_us()?,
            mean: latency.mean_us()?,
            count: latency.count(),
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for us in [self.p50, self.p90, self.p99, self.p99_9, self.max] {
            write!(f, "{:>10}", Time(us))?;
        }
        write!(f, "{:>10}", Time::of(self.mean))
    }
}

/// The columns that a [`Spread`] prints.
pub const COLUMNS: &str = "       p50       p90       p99     p99.9       max      mean";

/// Both latencies; in a closed loop there is one.
#[derive(Debug, Clone, Serialize)]
pub struct Latencies {
    pub(super) corrected: Option<Spread>,
    pub(super) raw: Option<Spread>,
}

/// The report on one run.
#[derive(Debug, Serialize)]
pub struct Report {
    mode: &'static str,
    threads: u16,
    connections: u32,
    pipeline: u16,
    elapsed_s: f64,
    interrupted: bool,
    requests_asked: Option<u64>,
    requests: u64,
    rate_asked: Option<u64>,
    rate_achieved: f64,
    errors: u64,
    errors_by_kind: BTreeMap<&'static str, u64>,
    unsent: u64,
    non_2xx: u64,
    statuses: BTreeMap<u16, u64>,
    latency_us: Latencies,
    /// Corrected in an open loop, of answers alone.
    latency_us_by_status: BTreeMap<u16, Spread>,
    active_fraction: Option<f64>,
    active_fraction_by_time: f64,
    connections_opened: u64,
    connections_closed_idle: u64,
    bytes_received: u64,
    bytes_sent: u64,
    client_cpu_us_per_request: Option<f64>,
    #[serde(skip)]
    stats: Stats,
}

impl Report {
    /// Puts together what was asked for and what came.
    pub fn new(job: &Job, outcome: Outcome, interrupted: bool) -> Self {
        let Outcome { stats, elapsed, cpu } = outcome;
        let requests = stats.answered();
        // Answers that came after the end are in the latencies, so that slow ones are not left out, but in no rate.
        let (window, in_window) = match job.requests {
            Some(_) => (elapsed, requests),
            None => (elapsed.min(job.duration), stats.in_window),
        };
        let corrected = job.rate.and_then(|_| Spread::of(&stats.corrected));
        Self {
            mode: if job.rate.is_some() { "open" } else { "closed" },
            threads: job.threads,
            connections: job.connections,
            pipeline: job.pipeline,
            elapsed_s: window.as_secs_f64(),
            interrupted,
            requests_asked: job.requests.map(std::num::NonZero::get),
            requests,
            rate_asked: job.rate.map(std::num::NonZero::get),
            rate_achieved: per_second(in_window, window),
            errors: stats.failed(),
            errors_by_kind: stats.failures_by_name(),
            unsent: stats.unsent,
            non_2xx: stats.non_success(),
            statuses: stats.statuses.clone(),
            latency_us: Latencies { corrected, raw: Spread::of(&stats.raw) },
            latency_us_by_status: stats
                .by_status
                .iter()
                .filter_map(|(status, latency)| Some((*status, Spread::of(latency)?)))
                .collect(),
            active_fraction: active_fraction(&stats.raw, per_second(in_window, window), job.connections),
            active_fraction_by_time: active_by_time(&stats, window, job.connections),
            connections_opened: stats.opened,
            connections_closed_idle: stats.closed_idle,
            bytes_received: stats.received,
            bytes_sent: stats.sent,
            client_cpu_us_per_request: (requests > 0)
                .then(|| cpu.as_secs_f64() * 1e6 / float(requests + stats.warmed)),
            stats,
        }
    }

    /// Whether anything was answered at all.
    pub fn answered(&self) -> bool {
        self.requests > 0
    }

    /// The whole distribution, one quantile a line.
    pub fn distribution(&self) -> String {
        use std::fmt::Write as _;
        let open = self.rate_asked.is_some();
        let mut text = format!("\n{:<12}{}{:>10}\n", "latency", if open { " corrected" } else { "" }, "raw");
        for percent in [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999, 100.0] {
            let at = |latency: &Latency| {
                latency.quantile_us(percent / 100.0).map_or_else(|| "-".into(), |us| Time(us).to_string())
            };
            let corrected = if open { format!("{:>10}", at(&self.stats.corrected)) } else { String::new() };
            let _ = writeln!(text, "  {:<10}{corrected}{:>10}", format!("{percent} %"), at(&self.stats.raw));
        }
        text
    }
}

impl Measured for Report {
    fn value(&self, metric: Metric) -> Option<f64> {
        let latency = |raw: bool| {
            if raw || self.rate_asked.is_none() { &self.stats.raw } else { &self.stats.corrected }
        };
        match metric {
            Metric::Quantile { millipercent, raw } => {
                latency(raw).quantile_us(f64::from(millipercent) / 100_000.0).map(float)
            }
            Metric::Max { raw } => latency(raw).max_us().map(float),
            Metric::Mean { raw } => latency(raw).mean_us(),
            Metric::Rate => Some(self.rate_achieved),
            Metric::Errors => Some(float(self.errors)),
            Metric::NonSuccess => Some(float(self.non_2xx)),
            Metric::ActiveFraction => self.active_fraction,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pipeline =
            if self.pipeline > 1 { format!(", {} requests deep", self.pipeline) } else { String::new() };
        let Self { elapsed_s, mode, threads, connections, .. } = self;
        let interrupted = if self.interrupted { ", interrupted" } else { "" };
        writeln!(
            f,
            "{elapsed_s:.2} s, {mode} loop, {threads} threads, {connections} connections{pipeline}{interrupted}"
        )?;
        writeln!(
            f,
            "  requests    {} answered, {} failed, {} never sent",
            self.requests, self.errors, self.unsent
        )?;
        let asked =
            self.rate_asked.map_or_else(|| "as fast as it is answered".into(), |rate| format!("{rate}/s"));
        writeln!(f, "  rate        {:.1}/s achieved, asked: {asked}", self.rate_achieved)?;
        writeln!(f, "  statuses    {}", list(self.statuses.iter()))?;
        writeln!(f, "  errors      {}", list(self.errors_by_kind.iter()))?;
        writeln!(
            f,
            "  connections {} opened, {} closed by the server while idle",
            self.connections_opened, self.connections_closed_idle
        )?;
        writeln!(f, "  bytes       {} received, {} sent", self.bytes_received, self.bytes_sent)?;
        if let Some(fraction) = self.active_fraction {
            write_active(f, fraction, self.active_fraction_by_time)?;
        }
        if let Some(cpu) = self.client_cpu_us_per_request {
            writeln!(f, "  own CPU     {cpu:.2} µs a request")?;
        }
        writeln!(f, "  latency     {COLUMNS}")?;
        if let Some(corrected) = &self.latency_us.corrected {
            writeln!(f, "    corrected {corrected}")?;
        }
        match &self.latency_us.raw {
            Some(raw) => writeln!(f, "    raw       {raw}")?,
            None => return writeln!(f, "    raw       nothing was answered"),
        }
        // One status alone is what stands above.
        for (status, spread) in self.latency_us_by_status.iter().filter(|_| self.statuses.len() > 1) {
            writeln!(f, "    {status:<9} {spread}")?;
        }
        Ok(())
    }
}

/// Throughput × mean latency ÷ connections: how many of the connections wait for an answer at any moment, by Little's law.
pub(super) fn active_fraction(raw: &Latency, rate: f64, connections: u32) -> Option<f64> {
    Some(rate * raw.mean_us()? / 1e6 / f64::from(connections.max(1)))
}

/// The same, measured: how many requests were outstanding on average, for each connection. The two agree where a run is much longer than an
/// answer takes.
pub(super) fn active_by_time(stats: &Stats, window: Duration, connections: u32) -> f64 {
    per_second(stats.waited_us, window) / 1e6 / f64::from(connections.max(1))
}

pub(super) fn write_active(f: &mut fmt::Formatter<'_>, by_law: f64, by_time: f64) -> fmt::Result {
    writeln!(
        f,
        "  active      {by_law:.3} of the connections (throughput × mean latency ÷ connections), {by_time:.3} by time"
    )
}

pub(super) fn per_second(count: u64, elapsed: Duration) -> f64 {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 { float(count) / seconds } else { 0.0 }
}

/// A count as a number to divide; counts here stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53, and a report rounds far earlier")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

pub(super) fn list<'a, K: fmt::Display + 'a>(counts: impl Iterator<Item = (&'a K, &'a u64)>) -> String {
    let all: Vec<String> = counts.map(|(name, count)| format!("{name}: {count}")).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

/// Microseconds, in the unit that suits them.
#[derive(Debug, Clone, Copy)]
pub struct Time(pub u64);

impl Time {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a latency in microseconds, at most a day"
    )]
    /// Rounds to whole microseconds.
    pub fn of(us: f64) -> Self {
        Self(us.round() as u64)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = float(self.0);
        let text = match self.0 {
            0..1_000 => format!("{} µs", self.0),
            1_000..1_000_000 => format!("{:.2} ms", us / 1e3),
            _ => format!("{:.2} s", us / 1e6),
        };
        f.pad(&text)
    }
}
