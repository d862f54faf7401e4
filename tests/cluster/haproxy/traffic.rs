//! Clients that ask until they are told to end, and remember every answer that is not 200.
//!
//! **Invariant:** each request is counted once, as answered or as failed, also the last one of each client.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::harness::{Client, PATIENCE, request_with, wait_until};

/// Half of them keep their connection, half open one for each request.
pub(super) const CLIENTS: usize = 8;

/// How long a client rests between two requests: the tests beside this one want the processor too.
const REST: Duration = Duration::from_millis(4);

/// What the clients of one kind saw.
#[derive(Default)]
struct Counts {
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
    longest: Mutex<Duration>,
}

pub(super) struct Traffic {
    is_over: Arc<AtomicBool>,
    counts: Arc<Counts>,
    threads: Vec<JoinHandle<()>>,
}

/// The same when all is over.
pub(super) struct Seen(Arc<Counts>);

impl Traffic {
    /// Asks for these targets in turn.
    pub(super) fn start(address: SocketAddr, targets: &'static [&'static str]) -> Self {
        let (is_over, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let client = |number: usize| {
            let (is_over, counts) = (Arc::clone(&is_over), Arc::clone(&counts));
            move || {
                let mut connection = None;
                for target in targets.iter().cycle().skip(number) {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let asked = Instant::now();
                    match ask(&mut connection, address, target, number.is_multiple_of(2)) {
                        Ok(()) => counts.note(asked.elapsed()),
                        Err(why) => counts.note_failure(format!("{target}: {why}")),
                    }
                    thread::park_timeout(REST);
                }
            }
        };
        let threads = (0..CLIENTS).map(|number| thread::spawn(client(number))).collect();
        Self { is_over, counts, threads }
    }

    /// Waits until so many more were answered.
    pub(super) fn wait_for(&self, more: usize) {
        let enough = self.counts.answered.load(Ordering::Relaxed) + more;
        wait_until("answers", PATIENCE, || {
            (self.counts.answered.load(Ordering::Relaxed) >= enough).then_some(())
        });
    }

    pub(super) fn end(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client to end well");
        }
        Seen(self.counts)
    }
}

/// One request, over the connection that is open or a new one.
fn ask(
    connection: &mut Option<Client>,
    address: SocketAddr,
    target: &str,
    keeps: bool,
) -> Result<(), String> {
    let mut client = match connection.take() {
        Some(client) => client,
        None => Client::try_connect(address).map_err(|error| error.to_string())?,
    };
    let headers: &[&str] = if keeps { &[] } else { &["Connection: close"] };
    client.try_send(request_with("GET", target, headers)).map_err(|error| error.to_string())?;
    let response = client.try_receive()?;
    if response.status != 200 {
        return Err(format!("{}", response.status));
    }
    if keeps && response.header("connection") != Some("close") {
        *connection = Some(client);
    }
    Ok(())
}

impl Counts {
    fn note(&self, took: Duration) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        *longest = took.max(*longest);
    }

    fn note_failure(&self, why: String) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(why);
    }
}

impl Seen {
    pub(super) fn answered(&self) -> usize {
        self.0.answered.load(Ordering::Relaxed)
    }

    /// Each request that was not answered with 200, and what came of it.
    pub(super) fn failed(&self) -> Vec<String> {
        self.0.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = *self.0.longest.lock().unwrap_or_else(PoisonError::into_inner);
        write!(
            formatter,
            "{} answered, the slowest after {longest:?}, {} failed",
            self.answered(),
            self.failed().len()
        )
    }
}
