//! Asks again and again on a thread of its own, so that keys and signals are heard while no answer comes.
//!
//! **Invariant:** at most one answer waits to be looked at; the next question waits until it was.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// The thread that asks; it ends when this is gone, or with the process.
pub(super) struct Asker<T>(Receiver<T>);

impl<T: Send + 'static> Asker<T> {
    /// Asks at once, and then again so long after each answer.
    pub(super) fn start(every: Duration, ask: impl Fn() -> T + Send + 'static) -> io::Result<Self> {
        let (tell, told) = sync_channel(1);
        thread::Builder::new().name("asker".into()).spawn(move || ask_on(every, &ask, &tell))?;
        Ok(Self(told))
    }

    /// Waits so long for an answer; an error where none will come any more.
    pub(super) fn within(&self, wait: Duration) -> io::Result<Option<T>> {
        match self.0.recv_timeout(wait) {
            Ok(answer) => Ok(Some(answer)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the thread that asks has ended")),
        }
    }
}

fn ask_on<T>(every: Duration, ask: &impl Fn() -> T, tell: &SyncSender<T>) {
    while tell.send(ask()).is_ok() {
        // It may come back early, which does no harm.
        thread::park_timeout(every);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn answers_come_in_order_and_an_end_of_the_thread_is_noticed() {
        let turns = AtomicU32::new(0);
        let ask = move || {
            let turn = turns.fetch_add(1, Ordering::Relaxed);
            assert!(turn < 2, "the thread ends here, on purpose");
            turn
        };
        let asker = Asker::start(Duration::from_millis(1), ask).unwrap();
        let patience = Duration::from_secs(30);
        assert_eq!(asker.within(patience).unwrap(), Some(0));
        assert_eq!(asker.within(patience).unwrap(), Some(1));
        assert!(asker.within(patience).is_err());
    }
}
