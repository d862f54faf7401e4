//! Watches what the control group's limit leaves of memory, so that load is shed before the kernel kills the process for it.
//!
//! A thread of each process reads the group's files; nobody else does. While memory is short no connection gets a place ([`super::admission`]),
//! heads that come in pieces and answers that are not taken are not kept, and each worker closes what holds most ([`super::shedding`]).
//!
//! **Invariant:** on the way of a request nothing is asked but a flag, and that only where memory would be held for a client that is slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::admission::Capacity;
use crate::kernel::facts::Memory;
use crate::kernel::read::System;

/// Memory is short where less than a tenth of the limit is left,
const MARGIN_PART: u64 = 10;
/// or than this: of a large group a tenth is more than connections take before the next look.
const MOST_MARGIN: u64 = 256 << 20;
/// The limit is near where less than so many times that is left.
const NEAR: u64 = 4;
/// Time between two looks while it is not,
const REST: Duration = Duration::from_millis(50);
/// while it is,
const SHORT_REST: Duration = Duration::from_millis(10);
/// and where there is no limit, which somebody may set.
const UNLIMITED_REST: Duration = Duration::from_secs(5);
/// Time between two times of shedding: what is freed comes back to the system a second later.
const SHED_EVERY: Duration = Duration::from_millis(1_500);
/// How far it is looked ahead, at the pace at which memory goes: by then the workers have heard of it.
const AHEAD: Duration = Duration::from_millis(30);
/// How often a shortage is spoken of.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What is known of memory, for all threads of the process.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    is_short: AtomicBool,
    limit_bytes: AtomicU64,
    left_bytes: AtomicU64,
}

impl Shortage {
    /// Whether memory is short.
    pub(crate) fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }

    /// The control group's limit, if it sets one.
    pub(crate) fn limit_bytes(&self) -> Option<u64> {
        Some(self.limit_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// What is amiss, for people.
    pub(crate) fn trouble(&self) -> Option<String> {
        let (left, limit) = (self.left_bytes.load(Ordering::Relaxed), self.limit_bytes()?);
        self.is_short().then(|| describe(left, limit))
    }

    fn set(&self, memory: Option<Memory>, is_short: bool) {
        let (limit, left) = memory.map_or((0, 0), |memory| (memory.total_bytes, memory.available_bytes));
        self.limit_bytes.store(limit, Ordering::Relaxed);
        self.left_bytes.store(left, Ordering::Relaxed);
        self.is_short.store(is_short, Ordering::Relaxed);
    }
}

/// Below so much of a limit memory is short.
fn margin(limit: u64) -> u64 {
    (limit / MARGIN_PART).min(MOST_MARGIN)
}

fn describe(left: u64, limit: u64) -> String {
    let (left, limit) = (left >> 20, limit >> 20);
    format!("memory is short: {left} of {limit} MiB that the control group may have are left")
}

/// The thread that watches; it ends when this is dropped.
pub(super) struct Watching {
    _end: Sender<()>,
}

/// Starts it. What is sent is how many bytes the workers should free together; 0 says that memory suffices again.
pub(super) fn watch(capacity: Arc<Capacity>, wanted: watch::Sender<u64>) -> std::io::Result<Watching> {
    let (end, ended) = channel();
    let run = move || Watch::new(capacity, wanted).run(&ended);
    std::thread::Builder::new().name("memory".into()).spawn(run)?;
    Ok(Watching { _end: end })
}

struct Watch {
    capacity: Arc<Capacity>,
    wanted: watch::Sender<u64>,
    judge: Judge,
    shed: Option<Instant>,
    said: Option<Instant>,
    says_end: bool,
}

impl Watch {
    fn new(capacity: Arc<Capacity>, wanted: watch::Sender<u64>) -> Self {
        Self { capacity, wanted, judge: Judge::default(), shed: None, said: None, says_end: false }
    }

    fn run(mut self, ended: &Receiver<()>) {
        let system = System::below("/");
        let all = system.memory().map_or(u64::MAX, |memory| memory.total_bytes);
        loop {
            let rest = self.look(system.group_memory(all));
            if ended.recv_timeout(rest) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Takes a look into account; says how long to rest.
    fn look(&mut self, memory: Option<Memory>) -> Duration {
        let now = Instant::now();
        let was_short = self.judge.is_short;
        let missing = memory.map_or(0, |memory| self.judge.judge(memory, now));
        if memory.is_none() {
            self.judge = Judge::default();
        }
        let is_short = self.judge.is_short;
        self.capacity.shortage().set(memory, is_short);
        let long_ago = |at: Option<Instant>, time| at.is_none_or(|at| now.duration_since(at) >= time);
        if is_short && (!was_short || long_ago(self.shed, SHED_EVERY)) {
            self.shed = Some(now);
            self.wanted.send_replace(missing);
        } else if was_short && !is_short {
            self.wanted.send_replace(0);
        }
        if let Some(memory) = memory
            && is_short != was_short
            && (self.says_end || long_ago(self.said, SAY_EVERY))
        {
            self.say(now, memory);
        }
        match memory {
            None => UNLIMITED_REST,
            Some(memory) if memory.available_bytes > NEAR * margin(memory.total_bytes) => REST,
            Some(_) => SHORT_REST,
        }
    }

    fn say(&mut self, now: Instant, memory: Memory) {
        let (left, limit) = (memory.available_bytes, memory.total_bytes);
        self.says_end = self.judge.is_short;
        if self.judge.is_short {
            self.said = Some(now);
            tracing::warn!(
                "{}; new connections are answered with 503, and slow ones closed. A higher limit (memory.max, docker run --memory, \
                 MemoryMax=) or a lower --max-connections helps",
                describe(left, limit)
            );
        } else {
            tracing::info!("memory suffices again: {} of {} MiB are left", left >> 20, limit >> 20);
        }
    }
}

/// Whether memory is short, as it goes up and down.
#[derive(Debug, Default)]
struct Judge {
    is_short: bool,
    before: Option<(Instant, u64)>,
}

impl Judge {
    /// Takes what is left now into account; gives the bytes that are missing until it suffices.
    fn judge(&mut self, memory: Memory, now: Instant) -> u64 {
        let (total, left) = (memory.total_bytes, memory.available_bytes);
        let margin = margin(total);
        let suffices = margin + margin / 2;
        let (at, before) = self.before.replace((now, left)).unwrap_or((now, left));
        let gone = u128::from(before.saturating_sub(left)) * AHEAD.as_nanos();
        let soon =
            u64::try_from(gone / now.duration_since(at).max(AHEAD / 10).as_nanos()).unwrap_or(u64::MAX);
        self.is_short = if self.is_short { left < suffices } else { left.saturating_sub(soon) < margin };
        if self.is_short { suffices.saturating_sub(left).max(1) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges what is left of a thousand at some milliseconds.
    fn judged(judge: &mut Judge, start: Instant, millis: u64, left: u64) -> (bool, u64) {
        let memory = Memory { total_bytes: 1_000, available_bytes: left };
        let missing = judge.judge(memory, start + Duration::from_millis(millis));
        (judge.is_short, missing)
    }

    #[test]
    fn it_is_short_below_a_tenth_and_suffices_again_above_one_and_a_half() {
        let (judge, start) = (&mut Judge::default(), Instant::now());
        assert_eq!(judged(judge, start, 0, 110), (false, 0));
        assert_eq!(judged(judge, start, 1_000, 101), (false, 0));
        assert_eq!(judged(judge, start, 2_000, 99), (true, 51));
        assert_eq!(judged(judge, start, 3_000, 149), (true, 1));
        assert_eq!(judged(judge, start, 4_000, 150), (false, 0));
    }

    #[test]
    fn it_is_short_where_it_goes_so_fast_that_it_soon_will_be() {
        let (judge, start) = (&mut Judge::default(), Instant::now());
        assert_eq!(judged(judge, start, 0, 500), (false, 0));
        assert_eq!(judged(judge, start, 100, 400), (false, 0), "30 less soon");
        assert_eq!(judged(judge, start, 110, 300), (true, 1), "300 less soon");
    }

    #[test]
    fn of_a_large_group_some_hundreds_of_mebibytes_are_enough() {
        let mut judge = Judge::default();
        let memory = |left| Memory { total_bytes: 64 << 30, available_bytes: left };
        judge.judge(memory(300 << 20), Instant::now());
        assert!(!judge.is_short);
        judge.judge(memory(255 << 20), Instant::now() + Duration::from_mins(1));
        assert!(judge.is_short);
    }
}
