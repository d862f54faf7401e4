//! How much work may stand before a database connection: what it answers within half of a request's patience.
//!
//! By Little's law ([`super::littles_law`]) what comes newly waits for L/λ: what stands before it, divided by the pace of the answers. More
//! than half of a request's patience is not begun, so that what is begun is answered in time though the pace should fall by half, and what
//! is not can be refused at once. A pace is believed only where a queue stands, as one of RFC 8289, section 3, that a burst does not
//! explain: of a connection with nothing to do it says how much is asked, and not how much could be answered.
//!
//! **Invariant:** pure, without clock. Without a queue that stood for a while there is no bound, and there is room for one request always.

use std::time::Duration;

/// A queue stands when what is at its head has waited for this part of its patience: 100 ms of 3 s.
const STANDS_AFTER: u32 = 30;
/// A pace is that of about so long.
const MEMORY: Duration = Duration::from_secs(1);
/// Looks that found answers, after which the pace is believed: a pause of PostgreSQL's is no pace.
const LOOKS_TO_BELIEVE: u32 = 3;
/// What may stand is what is answered within this part of a request's patience.
const BEGUN_WITHIN: u32 = 2;

/// The pace of a queue that stands.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Backlog {
    /// Answers a second.
    pace: f64,
    looked: Duration,
    answering: u32,
}

/// Whether a queue stands whose head has waited for so long.
pub fn stands(oldest: Duration, patience: Duration) -> bool {
    oldest >= patience / STANDS_AFTER
}

/// How much may stand at a pace, in answers a second.
pub fn most(pace: f64, patience: Duration) -> u32 {
    let most = pace * (patience / BEGUN_WITHIN).as_secs_f64();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from a float saturates"
    )]
    let most = most as u32;
    most.max(1)
}

impl Backlog {
    /// Takes a look into account, over a time in which the queue stood.
    pub fn note(&mut self, answered: u32, within: Duration) {
        if within.is_zero() {
            return;
        }
        self.looked = self.looked.saturating_add(within);
        // The mean of all looks at first, and then one in which older looks count less and less.
        let weight = within.as_secs_f64() / self.looked.min(MEMORY).max(within).as_secs_f64();
        self.pace += (f64::from(answered) / within.as_secs_f64() - self.pace) * weight;
        self.answering = self.answering.saturating_add(u32::from(answered > 0));
    }

    /// Answers a second, once they are believed.
    pub fn pace(&self) -> Option<f64> {
        (self.answering >= LOOKS_TO_BELIEVE).then_some(self.pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3);
    const TICK: Duration = Duration::from_millis(50);

    fn after(answers: impl IntoIterator<Item = u32>) -> Backlog {
        let mut backlog = Backlog::default();
        answers.into_iter().for_each(|answered| backlog.note(answered, TICK));
        backlog
    }

    #[test]
    fn half_the_patience_is_what_may_stand() {
        let pace = after([100; 5]).pace().unwrap();
        assert_eq!(most(pace, PATIENCE), 3_000, "2 000 a second for 1.5 s");
        assert_eq!(most(0.1, PATIENCE), 1, "one is always let in, or nothing would be learnt any more");
        assert_eq!(most(f64::MAX, PATIENCE), u32::MAX);
    }

    #[test]
    fn a_pause_is_no_pace() {
        assert_eq!(after([0; 100]).pace(), None);
        let resumed = after([0; 12].into_iter().chain([100; 3])).pace().unwrap();
        assert!(resumed > 300.0, "after a pause of 0.6 s: {resumed}");
    }

    #[test]
    fn a_pace_that_changes_is_followed_within_seconds() {
        let slower = after([100; 100].into_iter().chain([10; 60])).pace().unwrap();
        assert!((190.0..300.0).contains(&slower), "200 a second for 3 s: {slower}");
        let paused = after([100; 100].into_iter().chain([0; 12])).pace().unwrap();
        assert!(paused > 1_000.0, "a pause of 0.6 s: {paused}");
    }

    #[test]
    fn a_queue_stands_when_its_head_has_waited() {
        assert!(!stands(Duration::from_millis(99), PATIENCE));
        assert!(stands(Duration::from_millis(100), PATIENCE));
    }
}
