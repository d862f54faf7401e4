//! Clients that ask without a pause and keep what they were told.
//!
//! **Invariant:** every answer is a 200, or a 503 that says when to ask again.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::harness::{Client, worlds};

/// How long a client rests after a 503: a refusal is quick, and asking again at once only takes the processor.
const REST: Duration = Duration::from_millis(20);

/// What clients saw.
#[derive(Default)]
struct Seen {
    served: Vec<Instant>,
    last_failed: Option<Instant>,
    /// The rows of answers to updates, in the order of the answers.
    told: Vec<(i32, i32)>,
}

/// Clients that ask for one target.
pub(super) struct Traffic {
    is_over: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    pub(super) fn start(address: SocketAddr, target: &'static str, clients: usize) -> Self {
        let (is_over, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let client = || {
            let (is_over, seen) = (Arc::clone(&is_over), Arc::clone(&seen));
            thread::spawn(move || ask(address, target, &is_over, &seen))
        };
        let threads = (0..clients).map(|_| client()).collect();
        Self { is_over, seen, threads }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests answered with 200 so far.
    pub(super) fn served(&self) -> usize {
        self.seen().served.len()
    }

    /// When the last 503 came, if there was one.
    pub(super) fn last_failed(&self) -> Option<Instant> {
        self.seen().last_failed
    }

    /// When the first 200 after this moment came, if it has.
    pub(super) fn first_served(&self, after: Instant) -> Option<Instant> {
        self.seen().served.iter().filter(|at| **at > after).min().copied()
    }

    /// The longest time without a 200 that ended after this moment, or has not ended yet.
    pub(super) fn longest_gap(&self, from: Instant) -> Duration {
        let mut served = self.seen().served.clone();
        served.push(Instant::now());
        served.sort_unstable();
        let gaps = served.windows(2).filter(|pair| pair[1] > from).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }

    /// Ends it; what was told.
    pub(super) fn end(self) -> Vec<(i32, i32)> {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client to end well");
        }
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner).told)
    }
}

fn ask(address: SocketAddr, target: &str, is_over: &AtomicBool, seen: &Mutex<Seen>) {
    let mut client = Client::connect(address);
    let writes = target.starts_with("/updates");
    while !is_over.load(Ordering::Relaxed) {
        let response = client.get(target);
        let at = Instant::now();
        if response.status == 200 {
            let told = if writes { worlds(&response) } else { Vec::new() };
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.served.push(at);
            seen.told.extend(told);
        } else {
            assert_eq!(response.status, 503, "{target}: {response:?}");
            assert!(response.header("retry-after").is_some(), "{response:?}");
            seen.lock().unwrap_or_else(PoisonError::into_inner).last_failed = Some(at);
            thread::park_timeout(REST);
        }
    }
}
