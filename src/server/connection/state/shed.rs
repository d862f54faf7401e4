//! What becomes of a connection while memory is short.
//!
//! **Invariant:** a request that has come whole, and whose answer is taken, is none of this.

use tokio::time::Instant;

use super::super::Refusal;
use super::{ConnectionState, LINGER};

impl ConnectionState {
    /// Since when the client is slow, if it is: with a head, or in taking what is sent to it.
    pub(in crate::server) fn slow_since(&self) -> Option<Instant> {
        let is_ending = self.is_deaf() || self.lingering_since.get().is_some();
        self.blocked_since.get().or(self.partial_since.get()).filter(|_| !is_ending)
    }

    /// Ends the connection of a slow client: with a refusal, or where it takes nothing without a word.
    pub(in crate::server) fn shed(&self, now: Instant) {
        if self.blocked_since.get().is_some() {
            // The farewell is over before it has begun.
            self.linger(now.checked_sub(LINGER).unwrap_or(now));
        }
        self.refuse(Refusal::Shed);
        self.wake();
    }

    /// Whether the client is given time to notice the end.
    pub(in crate::server::connection) fn may_linger(&self) -> bool {
        self.refusal.get() != Some(Refusal::Shed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_is_slow_is_shed() {
        let now = Instant::now();
        let state = ConnectionState::new(now);
        assert_eq!(state.slow_since(), None);
        state.note_read(now, 1, false);
        assert_eq!(state.slow_since(), None, "its request is being answered");
        state.note_read(now, 0, true);
        assert_eq!(state.slow_since(), Some(now), "a part of the next has come");
        assert!(state.may_linger());
        state.shed(now);
        assert!(state.slow_since().is_none() && state.is_deaf() && !state.may_linger());
    }
}
