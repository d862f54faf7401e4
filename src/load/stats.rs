//! What is counted: answers, errors by kind, bytes, latency.
//!
//! **Invariant:** counts of two parts of a run can be added in any order, and nothing is lost in adding.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Significant digits of a latency: within a thousandth.
const DIGITS: u8 = 3;
/// The longest latency that is told from longer ones, in microseconds: a day.
const LONGEST_US: u64 = 86_400_000_000;

/// A distribution of latencies in microseconds, as an HDR histogram.
#[derive(Debug, Clone, Default)]
pub struct Latency {
    // Made with the first value, since most seconds of a run that only holds have none.
    histogram: Option<Histogram<u64>>,
}

impl Latency {
    fn histogram(&mut self) -> Option<&mut Histogram<u64>> {
        if self.histogram.is_none() {
            self.histogram = Histogram::new(DIGITS).ok();
            if let Some(histogram) = &mut self.histogram {
                histogram.auto(true);
            }
        }
        self.histogram.as_mut()
    }

    /// Counts one latency.
    pub(super) fn record(&mut self, nanoseconds: u64) {
        self.record_many(nanoseconds / 1000, 1);
    }

    fn record_many(&mut self, us: u64, count: u64) {
        if let Some(histogram) = self.histogram() {
            // A histogram that grows by itself refuses nothing below its bound.
            let recorded = histogram.record_n(us.min(LONGEST_US), count);
            debug_assert!(recorded.is_ok());
        }
    }

    fn add(&mut self, other: &Self) {
        if let (Some(theirs), Some(ours)) = (&other.histogram, self.histogram()) {
            let added = ours.add(theirs);
            debug_assert!(added.is_ok());
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// The latency that a fraction of all stays at or below; none where nothing was counted.
    pub fn quantile_us(&self, fraction: f64) -> Option<u64> {
        let histogram = self.histogram.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(histogram.value_at_quantile(fraction))
    }

    /// The longest.
    pub fn max_us(&self) -> Option<u64> {
        self.quantile_us(1.0)
    }

    /// The mean.
    pub fn mean_us(&self) -> Option<f64> {
        self.histogram.as_ref().filter(|histogram| !histogram.is_empty()).map(Histogram::mean)
    }

    /// Values and their counts, for a message to another process.
    fn pairs(&self) -> Vec<(u64, u64)> {
        let recorded = self.histogram.iter().flat_map(Histogram::iter_recorded);
        recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }
}

impl Serialize for Latency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.pairs().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut latency = Self::default();
        for (us, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            latency.record_many(us, count);
        }
        Ok(latency)
    }
}

/// How a request, or a connection, failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The connection could not be opened, for another reason than those below.
    Connect,
    /// Nobody listened.
    Refused,
    /// The connection was reset while an answer was awaited, or while it opened.
    Reset,
    /// No answer, or no connection, within `--timeout`.
    Timeout,
    /// What came was no HTTP/1 response.
    Parse,
    /// The connection was closed before the answer was whole.
    ClosedEarly,
}

impl Failure {
    /// As it stands in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Parse => "parse",
            Self::ClosedEarly => "closed_early",
        }
    }

    /// By what the system said.
    pub(super) fn of(error: &std::io::Error, connecting: bool) -> Self {
        match error.kind() {
            std::io::ErrorKind::ConnectionRefused => Self::Refused,
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => Self::Reset,
            std::io::ErrorKind::TimedOut => Self::Timeout,
            _ if connecting => Self::Connect,
            _ => Self::Reset,
        }
    }
}

/// What one thread counted, or all of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Failures by kind.
    pub failures: BTreeMap<Failure, u64>,
    /// Requests whose moment came and that no connection was free to send.
    pub unsent: u64,
    /// Connections opened.
    pub opened: u64,
    /// Connections that the other side closed while nothing was awaited on them.
    pub closed_idle: u64,
    /// Answers to requests of the warm-up, which are counted nowhere else.
    pub warmed: u64,
    /// Answers that came between the beginning and the end of what is counted, whenever they were asked for: the rate.
    pub in_window: u64,
    /// Microseconds of that time during which requests were outstanding, added up over all of them: a million that wait all the
    /// while fill it in half a year.
    pub waited_us: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Latency from the real sending.
    pub raw: Latency,
    /// Latency from when the request was due; empty in a closed loop, where both are the same.
    pub corrected: Latency,
    /// The same of answers alone, by status; raw in a closed loop.
    #[serde(default)]
    pub by_status: BTreeMap<u16, Latency>,
}

impl Stats {
    /// Answers.
    pub fn answered(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Requests and connections that failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Answers with another status than 2xx.
    pub fn non_success(&self) -> u64 {
        self.statuses.iter().filter(|(status, _)| !(200..300).contains(*status)).map(|(_, count)| count).sum()
    }

    /// Failures by the names of their kinds.
    pub fn failures_by_name(&self) -> BTreeMap<&'static str, u64> {
        self.failures.iter().map(|(kind, count)| (kind.name(), *count)).collect()
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (failure, count) in &other.failures {
            *self.failures.entry(*failure).or_default() += count;
        }
        self.unsent += other.unsent;
        self.opened += other.opened;
        self.closed_idle += other.closed_idle;
        self.warmed += other.warmed;
        self.in_window += other.in_window;
        self.waited_us += other.waited_us;
        self.received += other.received;
        self.sent += other.sent;
        self.raw.add(&other.raw);
        self.corrected.add(&other.corrected);
        for (status, latency) in &other.by_status {
            self.by_status.entry(*status).or_default().add(latency);
        }
    }

    /// Counts failures; none of a kind is no kind.
    pub(super) fn fail(&mut self, failure: Failure, count: u64) {
        if count == 0 {
            return;
        }
        *self.failures.entry(failure).or_default() += count;
    }

    /// Counts an answer that took so many nanoseconds from its sending, and from when it was due in an open loop.
    pub(super) fn answer(&mut self, status: u16, raw: u64, corrected: Option<u64>) {
        *self.statuses.entry(status).or_default() += 1;
        self.raw.record(raw);
        if let Some(corrected) = corrected {
            self.corrected.record(corrected);
        }
        self.by_status.entry(status).or_default().record(corrected.unwrap_or(raw));
    }

    /// Requests that were due and never sent had waited this long when it ended: leaving them out would make a server that stalls look well.
    pub(super) fn leave_unsent(&mut self, waited: u64, count: u64) {
        self.unsent += count;
        self.corrected.record_many(waited / 1000, count);
    }

    /// Counts the nanoseconds that a request was outstanding.
    pub(super) fn wait(&mut self, nanoseconds: u64) {
        // Rounded to the nearest, so that short waits do not add up to less.
        self.waited_us += nanoseconds.saturating_add(500) / 1000;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_thousandth() {
        let mut latency = Latency::default();
        assert_eq!((latency.quantile_us(0.5), latency.max_us(), latency.count()), (None, None, 0));
        for us in 1..=100_000 {
            latency.record(us * 1000);
        }
        let near = |found: Option<u64>, exact: f64| {
            let found = f64::from(u32::try_from(found.unwrap()).unwrap());
            assert!((found - exact).abs() <= exact / 1000.0, "{found} is not near {exact}");
        };
        near(latency.quantile_us(0.5), 50_000.0);
        near(latency.quantile_us(0.99), 99_000.0);
        near(latency.max_us(), 100_000.0);
    }

    #[test]
    fn a_message_to_another_process_loses_no_count() {
        let mut stats = Stats::default();
        for ns in [0, 999, 1_000, 55_000, 1_234_567_000] {
            stats.raw.record(ns);
        }
        stats.answer(200, u64::MAX, None);
        stats.fail(Failure::ClosedEarly, 2);
        let text = serde_json::to_string(&stats).unwrap();
        let back: Stats = serde_json::from_str(&text).unwrap();
        assert_eq!(back.raw.count(), 6);
        for fraction in [0.0, 0.5, 0.9, 1.0] {
            assert_eq!(back.raw.quantile_us(fraction), stats.raw.quantile_us(fraction));
        }
        assert_eq!((back.answered(), back.failed()), (1, 2));
        assert!(text.contains("closed_early"), "{text}");
    }

    #[test]
    fn a_failure_that_did_not_happen_has_no_kind_in_the_report() {
        let mut stats = Stats::default();
        stats.fail(Failure::Parse, 0);
        assert!(stats.failures_by_name().is_empty());
    }

    #[test]
    fn sums_do_not_depend_on_the_order() {
        let mut one = Stats::default();
        one.answer(200, 5_000, None);
        let mut other = Stats::default();
        other.answer(503, 7_000, None);
        other.leave_unsent(1_000, 1);
        let (mut ab, mut ba) = (one.clone(), other.clone());
        ab.add(&other);
        ba.add(&one);
        assert_eq!(ab.statuses, ba.statuses);
        assert_eq!([200, 503].map(|status| ba.by_status[&status].max_us()), [Some(5), Some(7)]);
        assert_eq!((ab.raw.count(), ab.raw.max_us(), ab.unsent), (2, Some(7), 1));
        assert_eq!((ba.raw.count(), ba.raw.max_us(), ba.corrected.count()), (2, Some(7), 1));
    }
}
