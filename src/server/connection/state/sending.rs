//! Whether a client takes what it is sent.
//!
//! **Invariant:** a client is given the idle time for [`LEAST_TAKEN`] bytes, or for all that waits for it, whichever is less.

use tokio::time::Instant;

use super::ConnectionState;

/// What a client must take of what waits for it within the idle time, unless it takes all: one that reads a byte now and then would
/// hold its connection and what is to be sent on it for ever. A response of one request is hardly ever as long.
const LEAST_TAKEN: usize = 64 * 1024;

/// What a client takes of what is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server::connection) enum Take {
    /// Its window is full, and the kernel's buffer before it.
    Nothing,
    /// So many bytes, of more.
    Part(usize),
    /// All, or it is gone.
    All,
}

impl ConnectionState {
    /// Something was written to the client, as far as it takes it.
    pub(in crate::server::connection) fn note_write(&self, take: Take) {
        let blocked = self.blocked_since.get().is_some();
        let enough = match take {
            Take::Nothing if blocked => return,
            Take::Nothing => {
                self.taken.set(0);
                return self.blocked_since.set(Some(Instant::now()));
            }
            Take::All => true,
            Take::Part(_) if !blocked => return,
            Take::Part(bytes) => {
                self.taken.set(self.taken.get() + bytes);
                self.taken.get() >= LEAST_TAKEN
            }
        };
        if enough && blocked {
            self.blocked_since.set(None);
            // That the client took no answers is not the next request's wait.
            self.settled.set(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_in_which_the_client_takes_nothing_is_not_the_next_requests() {
        let long_ago = Instant::now() - Duration::from_mins(1);
        let state = ConnectionState::new(long_ago);
        state.note_read(long_ago, 2, false);
        state.begin();
        state.answer(false, long_ago);
        state.note_write(Take::Nothing);
        state.note_write(Take::All);
        assert!(state.begin() > long_ago);
    }

    #[test]
    fn a_client_that_sips_is_blocked_until_it_has_taken_enough_or_all() {
        let state = ConnectionState::new(Instant::now());
        let is_blocked = || state.blocked_since.get().is_some();
        state.note_write(Take::Part(100));
        assert!(!is_blocked(), "nothing waits yet");
        state.note_write(Take::Nothing);
        let since = state.blocked_since.get();
        for _ in 0..8 {
            state.note_write(Take::Part(LEAST_TAKEN / 8 - 1));
            state.note_write(Take::Nothing);
        }
        assert!(is_blocked(), "8 bytes short");
        assert_eq!(state.blocked_since.get(), since, "sips do not buy time");
        state.note_write(Take::Part(8));
        assert!(!is_blocked(), "its time begins anew");
        state.note_write(Take::Nothing);
        state.note_write(Take::Part(8));
        assert!(is_blocked(), "and what it took");
        state.note_write(Take::All);
        assert!(!is_blocked());
    }
}
