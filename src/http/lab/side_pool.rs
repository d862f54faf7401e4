//! The side pool: threads that compute, so that workers need not.
//!
//! **Invariant:** what waits for a thread is bounded, and nobody's work is done any longer than somebody waits for it.

use std::io;
use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::proof::{Proof, Task};

/// Tasks that may wait for a thread: a fraction of a second's at 12 bits.
const QUEUED: usize = 256;

/// A way to the pool's threads, which end when the last of these is gone.
#[derive(Clone)]
pub(super) struct SidePool(SyncSender<Job>);

struct Job {
    task: Task,
    reply: oneshot::Sender<Option<Proof>>,
}

impl SidePool {
    /// Starts the threads.
    pub(super) fn start(threads: NonZeroU32) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(QUEUED);
        let waiting = Arc::new(Mutex::new(waiting));
        for index in 0..threads.get() {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new().name(format!("burn-{index}")).spawn(move || work(&waiting))?;
        }
        Ok(Self(jobs))
    }

    /// Hands a task to the threads; nothing where as many as may wait do so already. The task is dropped with the receiver.
    pub(super) fn submit(&self, task: Task) -> Option<oneshot::Receiver<Option<Proof>>> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Job { task, reply }).ok().map(|()| answer)
    }
}

/// Does one job after the other until no more can come.
fn work(waiting: &Mutex<Receiver<Job>>) {
    loop {
        // Held while waiting for a job, never while doing one.
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { task, reply }) = job else { return };
        let found = task.search(|| !reply.is_closed());
        // Nobody hears it where the client has left or was answered already.
        let _ = reply.send(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_takes_no_more_and_moves_on_when_nobody_waits() {
        let pool = SidePool::start(NonZeroU32::MIN).unwrap();
        // The hardest task there is keeps the only thread busy.
        let busy = pool.submit(Task::draw(24)).unwrap();
        let mut queued = Vec::new();
        while let Some(answer) = pool.submit(Task::draw(24)) {
            queued.push(answer);
        }
        assert!((QUEUED - 1..=QUEUED + 1).contains(&queued.len()), "{}", queued.len());
        drop((busy, queued));
        // Taken only once there is room again, and found though the hard ones were never finished.
        let answer = loop {
            if let Some(answer) = pool.submit(Task::draw(1)) {
                break answer;
            }
            std::thread::yield_now();
        };
        assert!(answer.blocking_recv().unwrap().is_some());
    }
}
