//! Panics: each is said in a line and has its consequence, so that none goes by in silence.
//!
//! The runtime catches what a task panics with and forgets it. One that a handler or a connection's task met is *contained*: it cost that
//! request, or that connection. Any other on a worker's thread ended a task of the worker's own, without which the worker only looks
//! alive: it hears of it by [`uncontained`], and ends, to be started again.
//!
//! **Invariant:** a panic of a thread is contained, or heard by whoever keeps the thread; a line a second tells of any number of them.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::panic::PanicHookInfo;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::counters::WorkerCounters;

/// How often a thread's panics are spoken of: a handler that panics for every request is not a line each.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// What is known of one thread's panics.
#[derive(Default)]
struct OfThread {
    /// All of them.
    met: Cell<u32>,
    /// Those that cost no more than a request or a connection.
    contained: Cell<u32>,
    /// When one was spoken of last.
    said: Cell<Option<Instant>>,
    /// How many were not, since then.
    unsaid: Cell<u32>,
    /// Wakes whoever keeps the thread.
    news: Rc<Notify>,
}

thread_local! {
    static OF_THREAD: OfThread = OfThread::default();
}

/// Has the panics of every thread of this process noted, and said in the log instead of the standard library's lines.
pub(crate) fn install_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let say = OF_THREAD.try_with(OfThread::note).unwrap_or(Some(0));
        if let Some(unsaid) = say {
            tell(panic, unsaid);
        }
    }));
}

/// The panic that was caught just now, or unwinds through the caller, costs no more than what the caller gives up for it.
pub(crate) fn contain(counters: &WorkerCounters) {
    counters.panics.note();
    OF_THREAD.with(|of_thread| of_thread.contained.set(of_thread.contained.get().wrapping_add(1)));
}

/// Waits for a panic on this thread that nobody contained.
pub(crate) async fn uncontained() {
    let news = OF_THREAD.with(|of_thread| Rc::clone(&of_thread.news));
    loop {
        // Heard when the task that panicked has been unwound: its turn ends before another's begins.
        news.notified().await;
        if OF_THREAD.with(|of_thread| of_thread.met.get() > of_thread.contained.get()) {
            return;
        }
    }
}

impl OfThread {
    /// Notes a panic; where it is to be spoken of, says how many were not since the last.
    fn note(&self) -> Option<u32> {
        self.met.set(self.met.get().wrapping_add(1));
        self.news.notify_one();
        let now = Instant::now();
        if self.said.get().is_some_and(|said| now.duration_since(said) < SAY_EVERY) {
            self.unsaid.set(self.unsaid.get().saturating_add(1));
            return None;
        }
        self.said.set(Some(now));
        Some(self.unsaid.take())
    }
}

fn tell(panic: &PanicHookInfo<'_>, unsaid: u32) {
    let thread = std::thread::current();
    let (thread, what) = (thread.name().unwrap_or("a thread"), panic.payload_as_str().unwrap_or("no text"));
    let place = panic.location().map_or_else(|| "a place unknown".to_owned(), ToString::to_string);
    let more = if unsaid > 0 { format!(" ({unsaid} more since the last such line)") } else { String::new() };
    tracing::error!(
        "{thread} panicked at {place}: {what}{more}; a fault in the program: RUST_BACKTRACE=1 shows the way there"
    );
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        tracing::error!("{trace}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_panics_is_a_line_and_a_number() {
        let of_thread = OfThread::default();
        assert_eq!(of_thread.note(), Some(0));
        assert_eq!([of_thread.note(), of_thread.note()], [None, None]);
        of_thread.said.set(Instant::now().checked_sub(SAY_EVERY));
        assert_eq!(of_thread.note(), Some(2));
        assert_eq!(of_thread.met.get(), 4);
    }

    #[tokio::test]
    async fn a_panic_is_heard_unless_it_was_contained() {
        let counters = WorkerCounters::default();
        OF_THREAD.with(OfThread::note);
        contain(&counters);
        let heard = || tokio::time::timeout(Duration::from_millis(1), uncontained());
        assert!(heard().await.is_err(), "it cost a request");
        OF_THREAD.with(OfThread::note);
        assert!(heard().await.is_ok());
        assert_eq!(counters.panics.read(), 1);
    }
}
