//! The waits between attempts at opening a database connection.
//!
//! **Invariant:** each wait is at the most twice the one before and never above its bound, and no two workers keep step.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;

/// Waits between attempts: each twice the last up to a bound, with jitter, so that workers and nodes do not knock together.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(20);
    /// The interface's promise: the service is back within a second of the database.
    pub(super) const MOST: Duration = Duration::from_millis(300);
    /// The longest wait between attempts at one more connection while others serve.
    pub(super) const MOST_FOR_ANOTHER: Duration = Duration::from_secs(5);

    pub(super) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// The next wait, between half of the step and all of it.
    pub(super) fn next(&mut self, random: &mut SmallRng, most: Duration) -> Duration {
        let step = self.next.min(most);
        self.next = (step * 2).min(most);
        step.mul_f64(random.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn waits_grow_to_the_bound_and_keep_their_jitter() {
        let mut random = SmallRng::seed_from_u64(7);
        let mut backoff = Backoff::new();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.next(&mut random, Backoff::MOST)).collect();
        assert!(waits[0] <= Duration::from_millis(20));
        assert!(waits.iter().all(|wait| *wait <= Backoff::MOST), "{waits:?}");
        assert!(waits[10..].iter().all(|wait| *wait >= Backoff::MOST / 2), "{waits:?}");
        assert!(waits[10..].windows(2).any(|pair| pair[0] != pair[1]), "{waits:?}");
    }
}
