//! Conditions of `--fail-if`: a metric, a comparison, a bound.
//!
//! **Invariant:** a latency is compared with a duration and everything else with a bare number; nothing is guessed.

use std::fmt;

use super::super::duration;

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// A quantile of latency, in thousandths of a per cent; raw or corrected.
    Quantile {
        /// 99 900 for p99.9.
        millipercent: u32,
        /// Counted from the real sending.
        raw: bool,
    },
    /// The longest latency.
    Max {
        /// Counted from the real sending.
        raw: bool,
    },
    /// The mean latency.
    Mean {
        /// Counted from the real sending.
        raw: bool,
    },
    /// Answers a second.
    Rate,
    /// Requests that failed, and connections that could not be opened.
    Errors,
    /// Answers with another status than 2xx.
    NonSuccess,
    /// Throughput × mean latency ÷ connections.
    ActiveFraction,
}

/// What a measurement says about a metric; latencies in microseconds.
pub trait Measured {
    /// The value to compare; none where nothing was measured.
    fn value(&self, metric: Metric) -> Option<f64>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// A condition, and how it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    metric: Metric,
    comparison: Comparison,
    bound: f64,
    written: String,
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Threshold {
    /// Reads a condition such as `p99>5ms`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let at = text.find(['<', '>']).ok_or("no comparison: write one as in 'p99>5ms' or 'errors>0'")?;
        let (name, rest) = text.split_at(at);
        let (comparison, bound) = match (rest.strip_prefix(">="), rest.strip_prefix("<=")) {
            (Some(bound), _) => (Comparison::AtLeast, bound),
            (_, Some(bound)) => (Comparison::AtMost, bound),
            _ if rest.starts_with('>') => (Comparison::Above, &rest[1..]),
            _ => (Comparison::Below, &rest[1..]),
        };
        let metric = read_metric(name.trim())?;
        let bound = bound.trim();
        let bound = if metric.is_latency() {
            duration::parse_or_zero(bound).map_err(|why| format!("`{bound}`: {why}"))?.as_secs_f64() * 1e6
        } else {
            let number: Result<f64, _> = bound.parse();
            number.ok().filter(|n| n.is_finite()).ok_or_else(|| format!("`{bound}` is not a number"))?
        };
        Ok(Self { metric, comparison, bound, written: text.to_owned() })
    }

    /// Whether it holds, and the value that it was judged by. A latency of which nothing was measured fails: a server that never answered has
    /// not kept a bound.
    pub fn holds(&self, measured: &impl Measured) -> (bool, Option<f64>) {
        let Some(value) = measured.value(self.metric) else { return (true, None) };
        let holds = match self.comparison {
            Comparison::Above => value > self.bound,
            Comparison::AtLeast => value >= self.bound,
            Comparison::Below => value < self.bound,
            Comparison::AtMost => value <= self.bound,
        };
        (holds, Some(value))
    }

    /// Whether values of its metric are microseconds.
    pub fn is_latency(&self) -> bool {
        self.metric.is_latency()
    }
}

impl Metric {
    fn is_latency(self) -> bool {
        matches!(self, Self::Quantile { .. } | Self::Max { .. } | Self::Mean { .. })
    }
}

fn read_metric(name: &str) -> Result<Metric, String> {
    let (raw, latency) = name.strip_prefix("raw.").map_or((false, name), |rest| (true, rest));
    let refuse = || {
        format!(
            "`{name}` is no metric: p50, p90, p99, p99.9, max and mean (raw.p99 and so on for raw ones), rate, errors, \
             non_2xx, active_fraction"
        )
    };
    match (latency, raw) {
        ("max", _) => Ok(Metric::Max { raw }),
        ("mean", _) => Ok(Metric::Mean { raw }),
        ("rate", false) => Ok(Metric::Rate),
        ("errors", false) => Ok(Metric::Errors),
        ("non_2xx", false) => Ok(Metric::NonSuccess),
        ("active_fraction", false) => Ok(Metric::ActiveFraction),
        (quantile, _) => {
            let percent = quantile.strip_prefix('p').ok_or_else(refuse)?;
            let (whole, part) = percent.split_once('.').unwrap_or((percent, "0"));
            if part.is_empty() || part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(refuse());
            }
            let whole: u32 = whole.parse().map_err(|_| refuse())?;
            let part: u32 = format!("{part:0<3}").parse().map_err(|_| refuse())?;
            if whole >= 100 || whole + part == 0 {
                return Err(refuse());
            }
            Ok(Metric::Quantile { millipercent: whole * 1000 + part, raw })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every metric has this value.
    struct Always(Option<f64>);

    impl Measured for Always {
        fn value(&self, _: Metric) -> Option<f64> {
            self.0
        }
    }

    fn holds(text: &str, value: f64) -> bool {
        Threshold::parse(text).unwrap().holds(&Always(Some(value))).0
    }

    #[test]
    fn each_comparison_holds_on_its_own_side() {
        for (text, below, equal, above) in [
            ("errors>10", false, false, true),
            ("errors>=10", false, true, true),
            ("rate<10", true, false, false),
            ("rate <= 10", true, true, false),
        ] {
            assert_eq!(
                [holds(text, 9.0), holds(text, 10.0), holds(text, 11.0)],
                [below, equal, above],
                "{text}"
            );
        }
    }

    #[test]
    fn latencies_are_compared_in_microseconds() {
        assert!(holds("p99>5ms", 5_001.0));
        assert!(!holds("p99>5ms", 4_999.0));
        assert!(holds("raw.max>=1s", 1e6));
    }

    #[test]
    fn a_latency_that_was_never_measured_does_not_pass() {
        assert_eq!(Threshold::parse("p99>5ms").unwrap().holds(&Always(None)), (true, None));
    }

    #[test]
    fn quantiles_are_read_to_three_places() {
        let metric = |text| Threshold::parse(text).unwrap().metric;
        assert_eq!(metric("p99.9>1s"), Metric::Quantile { millipercent: 99_900, raw: false });
        assert_eq!(metric("raw.p50>1s"), Metric::Quantile { millipercent: 50_000, raw: true });
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in [
            "p99",
            "p99>5",
            "p99=5ms",
            "rate>5ms",
            "speed>5",
            "p100>1s",
            "p0>1s",
            "raw.rate>1",
            "errors>",
            ">5",
        ] {
            assert!(Threshold::parse(text).is_err(), "{text:?} was taken");
        }
    }
}
