//! Whether the database is reached: said once for each change, by whichever worker notices first.
//!
//! **Invariant:** one log line for each change of state, however many workers and attempts there are.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;

/// What is known of the database over all workers of this process.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    state: Mutex<State>,
    open: AtomicU32,
}

/// Stands for one open database connection of this process; counted out when dropped.
#[derive(Debug)]
pub(super) struct Open(Arc<Reach>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default, PartialEq, Eq, Clone)]
enum State {
    #[default]
    Unknown,
    Reached,
    Lost(String),
    /// Some connections are open, and no more can be.
    Short(String),
}

impl Reach {
    /// A connection was opened, and all that are wanted are there or can be.
    pub(crate) fn reached(&self) {
        match self.swap(State::Reached) {
            Some(State::Lost(_)) => tracing::info!("the database is reached again"),
            Some(State::Short(_)) => tracing::info!("the database takes more connections again"),
            _ => {}
        }
    }

    /// No connection is open, and the last attempt failed.
    pub(crate) fn lost(&self, why: &str) {
        if self.swap(State::Lost(why.to_owned())).is_some() {
            tracing::warn!("the database is not reached: {why}; trying on, database routes answer 503");
        }
    }

    /// Some connections are open, and an attempt at one more failed.
    pub(crate) fn short(&self, why: &str) {
        if self.swap(State::Short(why.to_owned())).is_some() {
            tracing::warn!("serving on fewer database connections than planned: {why}");
        }
    }

    /// As [`Reach::lost`], where the caller has said it already.
    pub(crate) fn note_lost(&self, why: &str) {
        self.swap(State::Lost(why.to_owned()));
    }

    /// Counts an open database connection in.
    pub(super) fn count_open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// Database connections that this process has open.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether the database is reached as far as is known, and what is amiss with it.
    pub(crate) fn tell(&self) -> (bool, Option<String>) {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Unknown | State::Reached => (true, None),
            State::Short(why) => (true, Some(why.clone())),
            State::Lost(why) => (false, Some(why.clone())),
        }
    }

    /// Puts the new state and gives the old one where they differ.
    fn swap(&self, new: State) -> Option<State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (*state != new).then(|| std::mem::replace(&mut *state, new))
    }
}

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

    #[test]
    fn a_state_that_stays_is_said_once() {
        let reach = Reach::default();
        assert!(reach.swap(State::Lost("refused".into())).is_some());
        assert!(reach.swap(State::Lost("refused".into())).is_none());
        assert!(reach.swap(State::Reached).is_some());
    }
}
