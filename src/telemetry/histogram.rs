//! How long things took: log-linear histograms that are written by one thread, read by others, and added to one another.
//!
//! Every octave of nanoseconds is cut into 32 parts of equal width, as in `HdrHistogram`, so that a quantile is off by 3.2 % at the
//! most, always downwards. Values of 2^36 ns (68.7 s) and more are counted with the largest.
//!
//! **Invariant:** a histogram takes the same memory whatever it has seen, and noting a value takes the same few instructions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Parts of an octave, as a power of two.
const PART_BITS: u32 = 5;
/// Parts of an octave.
const PARTS: usize = 1 << PART_BITS;
/// Nanoseconds that are counted apart from longer times, as a power of two.
const MOST_BITS: u32 = 36;
/// Values that fall together.
const BUCKETS: usize = (MOST_BITS - PART_BITS + 1) as usize * PARTS;

/// A histogram of one worker: it writes, anybody reads.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<Buckets>,
    sum_ns: AtomicU64,
}

/// The counts, on cache lines of their own: the first bucket is one of those written most.
#[derive(Debug)]
#[repr(align(128))]
struct Buckets([AtomicU64; BUCKETS]);

/// What a histogram, or several together, held at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// Buckets that are not empty, by rising index, each with its count.
    buckets: Vec<(u16, u64)>,
    sum_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: Box::new(Buckets([const { AtomicU64::new(0) }; BUCKETS])), sum_ns: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one value. For the one thread that writes.
    pub fn note(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        add(&self.buckets.0[index_of(ns)], 1);
        add(&self.sum_ns, ns);
    }

    /// Counts one that took no time worth measuring.
    pub fn note_nothing(&self) {
        add(&self.buckets.0[0], 1);
    }

    /// What it holds now.
    pub fn read(&self) -> Distribution {
        let counts = self.buckets.0.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets = (0..).zip(counts).filter(|(_, count)| *count > 0).collect();
        Distribution { buckets, sum_ns: self.sum_ns.load(Ordering::Relaxed) }
    }
}

/// A plain load and store: there is one writer, and no reader may hold it up.
pub(super) fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

fn index_of(ns: u64) -> usize {
    let ns = ns.min((1 << MOST_BITS) - 1);
    // The first two octaves of buckets are one nanosecond wide; from there on each is twice as wide as in the octave before.
    let shift = u64::BITS - (ns | PARTS as u64).leading_zeros() - (PART_BITS + 1);
    shift as usize * PARTS + (ns >> shift) as usize
}

/// The least value that falls into a bucket, in nanoseconds.
fn least_of(index: u16) -> u64 {
    let (octave, part) = (usize::from(index) / PARTS, usize::from(index) % PARTS);
    match octave.checked_sub(1) {
        None => part as u64,
        Some(shift) => ((PARTS + part) as u64) << shift,
    }
}

impl Distribution {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// All values together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// The mean; none of no values.
    pub fn mean(&self) -> Option<Duration> {
        let mean = self.sum_ns.checked_div(self.count())?;
        Some(Duration::from_nanos(mean))
    }

    /// The value that this share of all values, from 0 to 1, does not exceed, rounded down to its bucket; none of no values.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "counts stay far below 2^52, and a cast from a float saturates"
        )]
        let rank = ((share * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        let reaches = |(_, count): &&(u16, u64)| {
            seen += count;
            seen >= rank
        };
        let (index, _) = self.buckets.iter().find(reaches)?;
        Some(Duration::from_nanos(least_of(*index)))
    }

    /// How many values were below 2 to the power of `bits` nanoseconds.
    pub fn below_power(&self, bits: u32) -> u64 {
        let below = |index: u16| least_of(index).checked_shr(bits).unwrap_or(0) == 0;
        self.buckets.iter().take_while(|(index, _)| below(*index)).map(|(_, count)| count).sum()
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, u64::wrapping_add);
    }

    /// What came since an earlier reading of the same histograms.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        since.combine(earlier, u64::saturating_sub);
        since.buckets.retain(|(_, count)| *count > 0);
        since
    }

    fn combine(&mut self, other: &Self, with: fn(u64, u64) -> u64) {
        for (index, count) in &other.buckets {
            match self.buckets.binary_search_by_key(index, |(index, _)| *index) {
                Ok(at) => self.buckets[at].1 = with(self.buckets[at].1, *count),
                Err(at) => self.buckets.insert(at, (*index, with(0, *count))),
            }
        }
        self.sum_ns = with(self.sum_ns, other.sum_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        for ns in values {
            histogram.note(Duration::from_nanos(*ns));
        }
        histogram.read()
    }

    #[test]
    fn every_value_falls_into_a_bucket_that_is_off_by_one_in_32_at_the_most() {
        let mut ns = 1u64;
        while ns < 1 << MOST_BITS {
            for ns in [ns - 1, ns, ns + 1, ns + ns / 3] {
                let least = least_of(u16::try_from(index_of(ns)).unwrap());
                assert!(least <= ns && ns - least <= ns / 32, "{ns} reads as {least}");
            }
            ns *= 2;
        }
        assert_eq!(index_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_by_rank_and_means_by_the_sum() {
        let values: Vec<u64> = (1..=100).map(|n| n * 1_000).collect();
        let seen = of(&values);
        let off = |share: f64, ns: u64| {
            let read = u64::try_from(seen.quantile(share).unwrap().as_nanos()).unwrap();
            assert!(read <= ns && ns - read <= ns / 32, "{share}: {read} for {ns}");
        };
        off(0.5, 50_000);
        off(0.99, 99_000);
        off(1.0, 100_000);
        off(0.0, 1_000);
        assert_eq!((seen.count(), seen.mean()), (100, Some(Duration::from_nanos(50_500))));
        assert_eq!((of(&[]).quantile(0.5), of(&[]).mean()), (None, None));
    }

    #[test]
    fn distributions_add_up_and_take_away() {
        let (mut all, first, later) = (of(&[5, 900]), of(&[5, 900]), of(&[70, 900]));
        all.add(&later);
        assert_eq!(all, of(&[5, 70, 900, 900]));
        assert_eq!(all.since(&first), later);
        assert_eq!(all.since(&all), Distribution::default());
    }

    #[test]
    fn what_is_below_a_power_of_two_is_counted_exactly() {
        let seen = of(&[1, 1_023, 1_024, 1_025, 4_096]);
        assert_eq!([0, 1, 10, 11, 12, 13, 40].map(|bits| seen.below_power(bits)), [0, 1, 2, 4, 4, 5, 5]);
    }
}
