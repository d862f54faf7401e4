//! Whether the event loops of a server turn: each is asked, and has to have answered by the next look.
//!
//! **Invariant:** looking waits for nobody, and a loop that is never asked does nothing for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// One event loop's part: it is asked from any thread, and answers as it turns.
#[derive(Debug)]
pub(super) struct Beat {
    asked: Notify,
    answered: AtomicBool,
    /// Whether there is no loop that could turn: its thread has ended, and another is to come.
    rests: AtomicBool,
}

impl Beat {
    /// Answers whoever asks, for good; a task of the loop whose beat it is.
    pub(super) async fn answer(self: Arc<Self>) {
        loop {
            self.asked.notified().await;
            self.answered.store(true, Ordering::Relaxed);
        }
    }

    /// Nobody answers from here on, and nothing hangs for that: the wait for the next thread may be longer than a watchdog's.
    pub(super) fn rest(&self) {
        self.rests.store(true, Ordering::Relaxed);
    }

    /// There is a loop again, which the next look is to find no fault with.
    pub(super) fn resume(&self) {
        self.answered.store(true, Ordering::Relaxed);
        self.rests.store(false, Ordering::Relaxed);
    }
}

/// The event loops of one server, by the names of their threads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heartbeat(Vec<(String, Arc<Beat>)>);

impl Heartbeat {
    /// One loop more; its thread has to run [`Beat::answer`].
    pub(super) fn of_thread(&mut self, name: &str) -> Arc<Beat> {
        // As if it had been asked before: the first look is to find no fault with it.
        let (answered, rests) = (AtomicBool::new(true), AtomicBool::new(false));
        let beat = Arc::new(Beat { asked: Notify::new(), answered, rests });
        self.0.push((name.to_owned(), Arc::clone(&beat)));
        beat
    }

    /// Names the loops that have not turned since the last look, and asks all again. One whose thread waits to be started again is none.
    pub(crate) fn look(&self) -> Vec<&str> {
        let still = self.0.iter().filter(|(_, beat)| {
            let turned = beat.answered.swap(false, Ordering::Relaxed);
            beat.asked.notify_one();
            !turned && !beat.rests.load(Ordering::Relaxed)
        });
        still.map(|(name, _)| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// Looks until the answer is as wanted.
    fn wait_for(heartbeat: &Heartbeat, wanted: &[&str]) {
        let end = Instant::now() + Duration::from_secs(10);
        // Between two looks a loop that turns has time to.
        while heartbeat.look() != wanted {
            assert!(Instant::now() < end, "never {wanted:?}");
            thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// A thread whose loop turns, but for the times between two words sent to it; it ends when no more can come.
    fn run_loop(beat: Arc<Beat>) -> (mpsc::Sender<()>, thread::JoinHandle<()>) {
        let (say, said) = mpsc::channel();
        let turning = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build_local(tokio::runtime::LocalOptions::default());
            runtime.unwrap().block_on(async move {
                tokio::task::spawn_local(beat.answer());
                loop {
                    match said.try_recv() {
                        Ok(()) => drop(said.recv()),
                        Err(mpsc::TryRecvError::Empty) => tokio::time::sleep(Duration::from_millis(1)).await,
                        Err(mpsc::TryRecvError::Disconnected) => break,
                    }
                }
            });
        });
        (say, turning)
    }

    #[test]
    fn a_loop_that_stands_still_is_named_until_it_turns_again() {
        let mut heartbeat = Heartbeat::default();
        let (kept, first) = run_loop(heartbeat.of_thread("worker 0"));
        let (say, second) = run_loop(heartbeat.of_thread("worker 1"));
        assert!(heartbeat.look().is_empty(), "nobody was asked before");
        wait_for(&heartbeat, &[]);
        say.send(()).unwrap();
        wait_for(&heartbeat, &["worker 1"]);
        say.send(()).unwrap();
        wait_for(&heartbeat, &[]);
        drop((kept, say));
        first.join().unwrap();
        second.join().unwrap();
    }

    #[test]
    fn a_loop_whose_thread_waits_to_be_started_again_is_not_named_and_one_that_hangs_from_its_start_is() {
        let mut heartbeat = Heartbeat::default();
        let beat = heartbeat.of_thread("worker 0");
        assert!(heartbeat.look().is_empty(), "nobody was asked before");
        assert_eq!(heartbeat.look(), ["worker 0"], "it hangs");
        beat.rest();
        assert!(heartbeat.look().is_empty() && heartbeat.look().is_empty(), "it waits");
        beat.resume();
        assert!(heartbeat.look().is_empty(), "nobody was asked since");
        assert_eq!(heartbeat.look(), ["worker 0"], "it hangs again");
    }
}
