//! A server's threads: starts them, hears of each one's end, and starts a worker again that ended without being asked.
//!
//! What a worker listens on is held here as well, so that connections wait in its backlog meanwhile, as they would for a process: of
//! several listeners on one address (`SO_REUSEPORT`, socket(7)) the kernel gives each its share, whether anybody accepts there or not.
//!
//! **Invariant:** until a stop there is a thread for each worker, or a moment at which it is started; from the stop on, none is, and there is
//! a moment at which those that hang are given up.

use std::io;
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::heartbeat::Beat;
use super::placement::{self, Placed};
use super::restart::Restart;
use super::stop::{Stop, StopLimits};
use super::worker::{self, Share};
use crate::config::workers::{Pin, Sched};

/// The failure of one that ended well, at the wrong time.
const UNASKED: &str = "it ended without being asked";

/// How a thread of the server ended.
#[derive(Debug)]
pub(crate) struct ThreadEnd {
    /// Which: `worker 0`, `acceptor`.
    pub(crate) thread: String,
    /// What stopped it, where it was not asked to stop.
    pub(crate) failure: Option<String>,
}

/// Tells the server of a thread's end, also when it panics.
struct Report {
    thread: String,
    to: mpsc::UnboundedSender<ThreadEnd>,
    told: bool,
}

impl Report {
    fn new(thread: &str, to: mpsc::UnboundedSender<ThreadEnd>) -> Self {
        Self { thread: thread.to_owned(), to, told: false }
    }

    fn ended_with(&mut self, outcome: Result<(), String>) {
        self.tell(outcome.err());
    }

    fn tell(&mut self, failure: Option<String>) {
        self.told = true;
        // Nobody listens only when the whole program is ending.
        let _ = self.to.send(ThreadEnd { thread: self.thread.clone(), failure });
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Some("it panicked".into()));
        }
    }
}

/// What a worker's thread is made from, however often.
pub(super) struct Seed {
    pub(super) share: Share,
    pub(super) sched: Sched,
    pub(super) pin: Pin,
}

/// A thread, and what may come after it.
struct Kept {
    name: String,
    thread: JoinHandle<()>,
    /// What it would be started from again; none for what is not started again.
    seed: Option<Seed>,
    started: Instant,
    restart: Restart,
    /// When another is to take its place, where it has ended.
    start_at: Option<Instant>,
    /// Whether its end was heard of; the system's thread may last a moment longer.
    has_ended: bool,
}

/// All threads of a server.
pub(super) struct Threads {
    kept: Vec<Kept>,
    /// Kept for threads that are yet to be started; none in a stop, so that the last end is known for the last.
    tell_end: Option<mpsc::UnboundedSender<ThreadEnd>>,
    ends: mpsc::UnboundedReceiver<ThreadEnd>,
    /// Ends that were found as the stop began.
    untold: Vec<ThreadEnd>,
    limits: StopLimits,
    /// When those that have not ended are given up; none before a stop.
    give_up_at: Option<Instant>,
    gave_up: bool,
}

impl Threads {
    pub(super) fn new(limits: StopLimits) -> Self {
        let (tell_end, ends) = mpsc::unbounded_channel();
        let (kept, untold) = (Vec::new(), Vec::new());
        Self { kept, tell_end: Some(tell_end), ends, untold, limits, give_up_at: None, gave_up: false }
    }

    /// Starts one that is not started again.
    pub(super) fn start(
        &mut self,
        name: &str,
        run: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> io::Result<()> {
        let thread = self.spawn(name, run)?;
        self.keep(name, thread, None);
        Ok(())
    }

    /// Starts a worker's; says how it is scheduled when it is at work.
    pub(super) fn start_worker(
        &mut self,
        seed: Seed,
        tell_ready: impl FnOnce(Placed) + Send + 'static,
    ) -> io::Result<()> {
        let name = format!("worker {}", seed.share.index);
        let thread = self.spawn(&name, seed.run(tell_ready)?)?;
        self.keep(&name, thread, Some(seed));
        Ok(())
    }

    fn keep(&mut self, name: &str, thread: JoinHandle<()>, seed: Option<Seed>) {
        let (name, started) = (name.to_owned(), Instant::now());
        let (restart, start_at, has_ended) = (Restart::default(), None, false);
        self.kept.push(Kept { name, thread, seed, started, restart, start_at, has_ended });
    }

    /// Starts a thread whose end is reported, however it ends.
    fn spawn(
        &self,
        name: &str,
        run: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let to = self.tell_end.clone().ok_or_else(|| io::Error::other("the server is stopping"))?;
        // Sent by drop too, so that a thread that panics is not silent.
        let mut report = Report::new(name, to);
        std::thread::Builder::new().name(name.replace(' ', "-")).spawn(move || report.ended_with(run()))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Starts workers again until a thread ends that is not; none when all have ended or are given up. May be dropped half-way and called
    /// again.
    pub(super) async fn next_end(&mut self) -> Option<ThreadEnd> {
        loop {
            if let Some(end) = self.untold.pop() {
                return Some(end);
            }
            let now = Instant::now();
            self.start_due(now);
            let due = self.kept.iter().filter_map(|kept| kept.start_at).chain(self.give_up_at).min();
            let end = tokio::select! {
                biased;
                end = self.ends.recv() => end?,
                () = tokio::time::sleep_until(due.unwrap_or(now)), if due.is_some() => {
                    self.gave_up = self.give_up_at.is_some_and(|at| at <= Instant::now());
                    if self.gave_up {
                        return None;
                    }
                    continue;
                }
            };
            if let Some(end) = self.plan_restart(end) {
                return Some(end);
            }
        }
    }

    /// Plans another thread in the place of one that has ended; gives the end back where there is to be none.
    fn plan_restart(&mut self, end: ThreadEnd) -> Option<ThreadEnd> {
        self.note_end(&end);
        let kept = self.kept.iter_mut().find(|kept| kept.name == end.thread && kept.seed.is_some());
        let Some(kept) = kept else { return Some(end) };
        kept.plan_restart("gone", &end.failure.unwrap_or_else(|| UNASKED.into()));
        None
    }

    fn note_end(&mut self, end: &ThreadEnd) {
        for kept in self.kept.iter_mut().filter(|kept| kept.name == end.thread) {
            kept.has_ended = true;
        }
    }

    /// Starts those whose moment has come.
    fn start_due(&mut self, now: Instant) {
        for at in 0..self.kept.len() {
            if self.kept[at].start_at.is_none_or(|due| due > now) {
                continue;
            }
            let (name, seed) = (self.kept[at].name.clone(), self.kept[at].seed.as_ref());
            let tell_ready = |name: String| move |_| tracing::info!("{name} serves again");
            let Some(run) = seed.map(|seed| seed.run(tell_ready(name.clone()))) else { continue };
            let started = run.and_then(|run| self.spawn(&name, run));
            let kept = &mut self.kept[at];
            kept.started = now;
            match started {
                Ok(thread) => {
                    (kept.start_at, kept.has_ended) = (None, false);
                    kept.beat(Beat::resume);
                    // It has ended, or it would not be replaced.
                    let _ = std::mem::replace(&mut kept.thread, thread).join();
                }
                Err(error) => kept.plan_restart("not to be started", &error.to_string()),
            }
        }
    }

    /// Starts none again from here on, but where what waits is to be served those that are due: it has nobody else.
    pub(super) fn begin_to_end(&mut self, for_backlogs: bool) {
        while let Ok(end) = self.ends.try_recv() {
            if let Some(ThreadEnd { thread, failure }) = self.plan_restart(end) {
                // It ended before the stop: a failure, whatever the stop makes of ends from here on.
                self.untold.push(ThreadEnd { thread, failure: failure.or_else(|| Some(UNASKED.into())) });
            }
        }
        if for_backlogs && let Some(last) = self.kept.iter().filter_map(|kept| kept.start_at).max() {
            self.start_due(last);
        }
        for kept in &mut self.kept {
            // With it go the listeners, which the thread closes when it has emptied them.
            (kept.seed, kept.start_at) = (None, None);
        }
        self.tell_end = None;
    }

    /// What stopped the threads that have ended, in one line.
    pub(super) fn failures(&mut self) -> String {
        let ended = self.untold.drain(..).chain(std::iter::from_fn(|| self.ends.try_recv().ok()));
        let failures = ended.filter_map(|end| Some(format!("{}: {}", end.thread, end.failure?)));
        failures.collect::<Vec<_>>().join("; ")
    }

    /// Has those given up that have not ended in time after a stop that begins now, or after one before it.
    pub(super) fn limit(&mut self, stop: Stop) {
        let at = Instant::now() + self.limits.of(stop);
        self.give_up_at = Some(self.give_up_at.map_or(at, |before| before.min(at)));
    }

    /// Waits for all of them, but for those that were given up, whose names it gives: they run until the process ends.
    pub(super) fn join(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        // Those that told their end since the last look have ended too, though the system may not have taken note of it yet.
        while let Ok(end) = self.ends.try_recv() {
            self.note_end(&end);
            self.untold.push(end);
        }
        for kept in self.kept.drain(..) {
            if self.gave_up && !kept.has_ended {
                left.push(kept.name);
            } else {
                // A panic was reported as the thread's end already.
                let _ = kept.thread.join();
            }
        }
        left
    }
}

impl Seed {
    /// What the thread is to do.
    fn run<T: FnOnce(Placed) + Send + 'static>(
        &self,
        tell_ready: T,
    ) -> io::Result<impl FnOnce() -> Result<(), String> + Send + use<T>> {
        let share = self.share.try_clone()?;
        let (index, sched, pin) = (share.index, self.sched, self.pin);
        Ok(move || {
            let placed = placement::place(index, sched, pin);
            worker::run(share, move || tell_ready(placed))
        })
    }
}

impl Kept {
    /// Tells those who look whether there is a loop to turn; one that is not started again is never missed on purpose.
    fn beat(&self, change: fn(&Beat)) {
        if let Some(seed) = &self.seed {
            change(&seed.share.beat);
        }
    }

    /// Says what has become of it, and plans another.
    fn plan_restart(&mut self, what: &str, why: &str) {
        self.beat(Beat::rest);
        let wait = self.restart.after(self.started.elapsed());
        self.start_at = Some(Instant::now() + wait);
        let name = &self.name;
        if wait.is_zero() {
            tracing::error!("{name} is {what}: {why}; starting another");
        } else {
            tracing::error!("{name} is {what}: {why}; starting another in {wait:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: StopLimits =
        StopLimits { drain_deadline: Duration::from_secs(5), end_patience: Duration::from_millis(100) };

    /// Runs on an event loop, as those do who keep threads.
    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime
            .unwrap()
            .block_on(async { tokio::time::timeout(Duration::from_secs(20), future).await.unwrap() })
    }

    fn wait_for_ends(threads: &Threads) {
        while !threads.kept.iter().all(|kept| kept.thread.is_finished()) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_acceptor_that_fails_as_the_stop_comes_is_a_failure_still() {
        for (outcome, why) in [(Err("it broke".to_owned()), "it broke"), (Ok(()), UNASKED)] {
            let mut threads = Threads::new(LIMITS);
            threads.start("acceptor", move || outcome).unwrap();
            wait_for_ends(&threads);
            threads.begin_to_end(true);
            let end = run(threads.next_end()).expect("its end");
            assert_eq!((end.thread.as_str(), end.failure.as_deref()), ("acceptor", Some(why)));
            assert!(run(threads.next_end()).is_none());
            assert!(threads.join().is_empty());
        }
    }

    #[test]
    fn one_that_told_its_end_is_not_named_as_given_up_though_its_thread_lasts_a_moment_longer() {
        let mut threads = Threads::new(LIMITS);
        let (end, lasts) = std::sync::mpsc::channel::<()>();
        // What the system's thread still does after it has told its end, made longer.
        let to = threads.tell_end.clone().unwrap();
        let thread = std::thread::spawn(move || {
            Report::new("worker 0", to).ended_with(Ok(()));
            let _ = lasts.recv();
        });
        threads.keep("worker 0", thread, None);
        threads.begin_to_end(true);
        assert!(run(threads.next_end()).is_some_and(|end| end.thread == "worker 0"));
        threads.gave_up = true;
        // Lets it go while it is waited for.
        let release = std::thread::spawn(move || drop(end));
        assert!(threads.join().is_empty());
        release.join().unwrap();
    }

    #[test]
    fn one_that_hangs_is_given_up_at_its_time_and_not_before_and_the_others_are_not() {
        let mut threads = Threads::new(LIMITS);
        let (end, hang) = std::sync::mpsc::channel::<()>();
        threads
            .start("worker 0", move || {
                // Until the test lets it go.
                let _ = hang.recv();
                Ok(())
            })
            .unwrap();
        threads.start("worker 1", || Ok(())).unwrap();
        threads.begin_to_end(true);
        let start = Instant::now();
        threads.limit(Stop::Drain);
        // A later stop may only shorten it.
        threads.limit(Stop::Now);
        threads.limit(Stop::Drain);
        assert!(run(threads.next_end()).is_some_and(|end| end.thread == "worker 1"));
        assert!(run(threads.next_end()).is_none());
        let (took, limit) = (start.elapsed(), LIMITS.of(Stop::Now));
        assert!((limit..limit + LIMITS.drain_deadline).contains(&took), "{took:?}");
        assert_eq!(threads.join(), ["worker 0"]);
        drop(end);
    }
}
