//! When what ended by itself is started again: a worker's thread, or by the supervisor a process.
//!
//! **Invariant:** pure. The first restart is at once; the waits between those after it double, and start over when what was started lived.

use std::time::Duration;

/// What ends sooner than this after its start did not live.
const LIVED: Duration = Duration::from_millis(500);

/// The wait before the second restart of what does not live.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What is remembered of the ends of one process, or thread.
#[derive(Debug, Default)]
pub(crate) struct Restart {
    /// Ends in a row of those that did not live.
    short_lives: u32,
}

impl Restart {
    /// The wait after one that lived for so long.
    pub(crate) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= LIVED {
            self.short_lives = 0;
            return Duration::ZERO;
        }
        let wait = match self.short_lives.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => FIRST_WAIT.saturating_mul(1 << doublings.min(16)).min(LONGEST_WAIT),
        };
        self.short_lives = self.short_lives.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_while_they_keep_ending_and_start_over_when_one_lived() {
        let mut restart = Restart::default();
        let millis: Vec<u128> = (0..9).map(|_| restart.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(millis, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(restart.after(LIVED), Duration::ZERO);
        assert_eq!(restart.after(Duration::ZERO), Duration::ZERO);
        assert_eq!(restart.after(Duration::ZERO), FIRST_WAIT);
    }

    #[test]
    fn one_that_is_killed_every_second_is_always_started_at_once() {
        let mut restart = Restart::default();
        assert!((0..60).all(|_| restart.after(Duration::from_millis(900)).is_zero()));
    }
}
