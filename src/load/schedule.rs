//! When a request is due, and when to stop: values, so that one loop serves every way to ask.
//!
//! Times are nanoseconds since the measurement began, of a monotonic clock.
//!
//! **Invariant:** the moments of an open loop depend on its start and its rate alone, never on an answer (no coordinated omission).

use std::num::NonZeroU64;

/// Nanoseconds of a second.
pub(super) const SECOND: u64 = 1_000_000_000;

/// One of several threads or processes that share a rate: the `index`th of `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Part {
    pub(super) index: u64,
    pub(super) of: NonZeroU64,
}

impl Part {
    /// The part of a total that is this one's; all parts together are the total.
    pub(super) fn of_total(self, total: u64) -> u64 {
        total / self.of + u64::from(self.index < total % self.of)
    }
}

/// Moments at a constant rate, every `of`th of them this part's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    start: u64,
    per_second: NonZeroU64,
    part: Part,
    /// How many of this part's were taken.
    taken: u64,
}

impl Beat {
    pub(super) fn new(start: u64, per_second: NonZeroU64, part: Part) -> Self {
        Self { start, per_second, part, taken: 0 }
    }

    fn moment(&self, nth: u64) -> u64 {
        let k = u128::from(nth) * u128::from(self.part.of.get()) + u128::from(self.part.index);
        let after = k * u128::from(SECOND) / u128::from(self.per_second.get());
        self.start.saturating_add(u64::try_from(after).unwrap_or(u64::MAX))
    }

    /// When the next is due.
    pub(super) fn next(&self) -> u64 {
        self.moment(self.taken)
    }

    /// How many are due and were not taken.
    pub(super) fn due(&self, now: u64) -> u64 {
        let Some(passed) = now.checked_sub(self.start) else { return 0 };
        let (of, index) = (u128::from(self.part.of.get()), u128::from(self.part.index));
        // The moments of all parts that have come, the first at the start itself.
        let of_all =
            ((u128::from(passed) + 1) * u128::from(self.per_second.get())).div_ceil(u128::from(SECOND));
        let ours = of_all.saturating_sub(index).div_ceil(of);
        u64::try_from(ours).unwrap_or(u64::MAX).saturating_sub(self.taken)
    }

    /// Takes those that are due, so many at most, and says when the first was and how many they are; none where none is due.
    pub(super) fn take_some(&mut self, now: u64, at_most: u64) -> Option<(u64, u64)> {
        let count = self.due(now).min(at_most);
        let first = self.next();
        self.taken += count;
        (count > 0).then_some((first, count))
    }

    /// Takes the next if it is due, and says when it was.
    pub(super) fn take(&mut self, now: u64) -> Option<u64> {
        let due = self.next();
        (due <= now).then(|| {
            self.taken += 1;
            due
        })
    }
}

/// When the next request is due.
#[derive(Debug, Clone, Copy)]
pub(super) enum Schedule {
    /// As soon as a connection is free.
    Closed,
    /// At moments of its own.
    Open(Beat),
}

impl Schedule {
    /// Takes the next request if one is due, and says when it was meant to be sent.
    pub(super) fn take(&mut self, now: u64) -> Option<u64> {
        match self {
            Self::Closed => Some(now),
            Self::Open(beat) => beat.take(now),
        }
    }

    /// When the next request is due; none where that depends on connections alone.
    pub(super) fn next(&self) -> Option<u64> {
        match self {
            Self::Closed => None,
            Self::Open(beat) => Some(beat.next()),
        }
    }
}

/// When to ask no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct StopRule {
    /// What is asked before this is not counted.
    pub(super) counted_from: u64,
    /// Nothing is asked from then on.
    pub(super) until: Option<u64>,
    /// Requests that are left to ask and count.
    pub(super) left: Option<u64>,
}

impl StopRule {
    /// Whether a request may be sent now.
    pub(super) fn allows(&self, now: u64) -> bool {
        self.until.is_none_or(|end| now < end) && self.left != Some(0)
    }

    /// Whether a moment lies between the beginning and the end of what is counted.
    pub(super) fn window_holds(&self, now: u64) -> bool {
        now >= self.counted_from && self.until.is_none_or(|end| now < end)
    }

    /// How much of the time between two moments is counted.
    pub(super) fn part_within(&self, from: u64, to: u64) -> u64 {
        self.until.map_or(to, |end| to.min(end)).saturating_sub(from.max(self.counted_from))
    }

    /// Takes one request that was meant for this moment from what is left.
    pub(super) fn count(&mut self, intended: u64) {
        if let Some(left) = self.left.as_mut().filter(|_| intended >= self.counted_from) {
            *left = left.saturating_sub(1);
        }
    }

    /// Gives one back that was never processed.
    pub(super) fn give_back(&mut self, intended: u64) {
        if let Some(left) = self.left.as_mut().filter(|_| intended >= self.counted_from) {
            *left += 1;
        }
    }
}

/// The order in which paths are asked: a smooth weighted round robin (as nginx's), so that shares are exact after each round and no
/// path comes in a lump.
pub(super) fn round_of(weights: &[u16]) -> Vec<u16> {
    let total: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
    let mut current = vec![0_i64; weights.len()];
    let mut round = Vec::new();
    for _ in 0..total {
        for (value, &weight) in current.iter_mut().zip(weights) {
            *value += i64::from(weight);
        }
        let Some((chosen, _)) = current.iter().enumerate().rev().max_by_key(|(_, value)| **value) else {
            break;
        };
        current[chosen] -= total;
        round.push(u16::try_from(chosen).unwrap_or(u16::MAX));
    }
    round
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(index: u64, of: u64) -> Part {
        Part { index, of: NonZeroU64::new(of).unwrap() }
    }

    fn beat(rate: u64, part: Part) -> Beat {
        Beat::new(1_000, NonZeroU64::new(rate).unwrap(), part)
    }

    #[test]
    fn moments_are_evenly_spaced_and_do_not_drift() {
        let beat = beat(3, part(0, 1));
        assert_eq!(beat.moment(1), 1_000 + SECOND / 3);
        assert_eq!(beat.moment(3_000_000), 1_000 + 1_000_000 * SECOND, "no rounding adds up");
    }

    #[test]
    fn parts_take_turns_and_together_keep_the_rate() {
        let mut all: Vec<u64> =
            (0..3).flat_map(|n| (0..4).map(move |k| beat(100, part(n, 3)).moment(k))).collect();
        all.sort_unstable();
        assert_eq!(all, (0..12).map(|k| 1_000 + k * SECOND / 100).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_due_is_counted_as_it_would_be_taken() {
        for (rate, index, of) in [(1, 0, 1), (3, 1, 2), (7, 4, 5), (333, 2, 3), (100_000_000, 0, 1)] {
            for now in [0, 999, 1_000, 1_001, 1_000 + SECOND / 333, 1_000 + SECOND / 1000] {
                let mut one_by_one = beat(rate, part(index, of));
                let mut some = one_by_one;
                let taken: Vec<u64> = std::iter::from_fn(|| one_by_one.take(now)).collect();
                assert_eq!(some.due(now), taken.len() as u64, "{rate} {index} {of} at {now}");
                let first_two = some.take_some(now, 2);
                assert_eq!(first_two.map(|(first, _)| first), taken.first().copied());
                let rest = some.take_some(now, u64::MAX).map_or(0, |(_, count)| count);
                assert_eq!(first_two.map_or(0, |(_, count)| count) + rest, taken.len() as u64);
                assert_eq!((some.take(now), some.next()), (None, one_by_one.next()));
            }
        }
        let day = beat(100_000_000, part(0, 1)).due(86_400 * SECOND);
        assert!((8_639_999_999_000..=8_640_000_000_000).contains(&day), "{day}");
    }

    #[test]
    fn a_late_taker_gets_every_moment_that_passed() {
        let mut schedule = Schedule::Open(beat(10, part(0, 1)));
        let now = 1_000 + SECOND;
        let taken: Vec<u64> = std::iter::from_fn(|| schedule.take(now)).collect();
        assert_eq!(taken.len(), 11);
        assert_eq!(taken[0], 1_000);
        assert!(schedule.next().is_some_and(|next| next > now));
    }

    #[test]
    fn a_closed_loop_is_always_due() {
        assert_eq!(Schedule::Closed.take(5), Some(5));
        assert_eq!(Schedule::Closed.next(), None);
    }

    #[test]
    fn totals_are_shared_without_a_rest() {
        for (total, of) in [(10, 3), (2, 4), (1_000_001, 53), (0, 2)] {
            assert_eq!((0..of).map(|n| part(n, of).of_total(total)).sum::<u64>(), total);
        }
    }

    #[test]
    fn a_warm_up_is_not_counted_against_the_number_asked() {
        let mut stop = StopRule { counted_from: 100, until: None, left: Some(1) };
        stop.count(99);
        assert!(stop.allows(99));
        stop.count(100);
        assert!(!stop.allows(101));
        stop.give_back(100);
        assert!(stop.allows(101));
        assert!(!StopRule { until: Some(50), ..stop }.allows(50));
    }

    #[test]
    fn only_time_between_beginning_and_end_is_counted() {
        let stop = StopRule { counted_from: 100, until: Some(200), left: None };
        for (from, to, within) in
            [(0, 50, 0), (0, 150, 50), (120, 150, 30), (150, 300, 50), (0, 300, 100), (210, 300, 0)]
        {
            assert_eq!(stop.part_within(from, to), within, "{from} to {to}");
        }
        assert_eq!(StopRule { until: None, ..stop }.part_within(150, 300), 150);
        assert!(stop.window_holds(100) && !stop.window_holds(99) && !stop.window_holds(200));
    }

    #[test]
    fn a_round_keeps_the_weights_and_spreads_them() {
        assert_eq!(round_of(&[1]), [0]);
        assert_eq!(round_of(&[3, 1]), [0, 0, 1, 0]);
        let round = round_of(&[5, 2, 1]);
        for (path, weight) in [5, 2, 1].into_iter().enumerate() {
            assert_eq!(round.iter().filter(|&&chosen| usize::from(chosen) == path).count(), weight);
        }
        assert!(round.windows(4).all(|four| four.iter().any(|&chosen| chosen != 0)));
    }
}
