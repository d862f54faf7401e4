//! What may be seen of one worker from another thread: its counters, its places, its processor time, its connections.
//!
//! **Invariant:** looking never waits for the worker's thread, but for a listing of its connections, for which it is asked and given
//! [`PATIENCE`].

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::RuntimeMetrics;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::admission::WorkerPlaces;
use crate::kernel::usage::thread_time;
use crate::telemetry::counters::WorkerCounters;
use crate::telemetry::listing::{Filter, Listing};
use crate::telemetry::snapshot::{Pool, State, Totals, Worker};

/// How long a worker may take to list its connections.
const PATIENCE: Duration = Duration::from_secs(1);
/// After so much of that it says what it has counted so far, however many connections it has.
const COUNT_FOR: Duration = Duration::from_millis(800);

/// Listings that may be asked of one worker before it has begun with the first.
const MOST_QUESTIONS: usize = 4;

/// A worker as others see it.
#[derive(Debug, Clone)]
pub(crate) struct WorkerView {
    counters: Arc<WorkerCounters>,
    places: Arc<WorkerPlaces>,
    pulse: Arc<Pulse>,
    questions: mpsc::Sender<Question>,
}

/// How much a worker's threads work: the one that runs, and those before it.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<Beats>);

#[derive(Debug, Default)]
struct Beats {
    /// Of the event loop, once that runs.
    metrics: Option<RuntimeMetrics>,
    /// The thread's processor time when it was last looked at, in nanoseconds, so that it is still known when the thread has ended.
    cpu_ns: u64,
    /// What the threads before it worked, in nanoseconds of processor time, and in such when their loops did not wait.
    before: (u64, u64),
}

/// Somebody wants to know a worker's connections.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) filter: Filter,
    /// When to be content with a part of them.
    pub(super) until: Instant,
    pub(super) answer: oneshot::Sender<Listing>,
}

/// What a worker's thread keeps of its view.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) counters: Arc<WorkerCounters>,
    pub(super) pulse: Arc<Pulse>,
    /// Asked by whichever thread is the worker's now.
    pub(super) questions: Arc<tokio::sync::Mutex<mpsc::Receiver<Question>>>,
}

impl WorkerView {
    /// A worker's two sides: what others see of it, and what its thread keeps for that.
    pub(super) fn of(places: &Arc<WorkerPlaces>) -> (Self, Seen) {
        let counters = Arc::new(WorkerCounters::default());
        let pulse = Arc::new(Pulse::default());
        let (questions, asked) = mpsc::channel(MOST_QUESTIONS);
        let questions_asked = Arc::new(tokio::sync::Mutex::new(asked));
        let seen =
            Seen { counters: Arc::clone(&counters), pulse: Arc::clone(&pulse), questions: questions_asked };
        (Self { counters, places: Arc::clone(places), pulse, questions }, seen)
    }

    /// What it has counted, and what is so now.
    pub(crate) fn read(&self) -> Worker {
        let thread_id = self.counters.thread_id.read();
        let (cpu_ns, busy_ns) = self.pulse.look(thread_id);
        // In this order, so that what was accepted is open or has ended by the time that is looked at.
        let accepted = self.counters.accepted.read();
        let state = State {
            open: self.places.taken() as u64,
            parked: self.places.parked() as u64,
            pool: Pool::read(&self.counters),
            reads: self.counters.reads.get().map(|reads| Pool::read(reads)),
        };
        let mut totals = Totals { accepted, cpu_ns, busy_ns, ..Totals::read(&self.counters) };
        if let Some(reads) = self.counters.reads.get() {
            totals.add(&Totals::read(reads));
        }
        Worker { thread_id, totals, state }
    }

    /// Asks for its connections, or those of them that it can count in the time; none where it doesn't answer at all, or is asked too
    /// much.
    pub(crate) fn list(&self, filter: Filter) -> impl Future<Output = Option<Listing>> + Send + use<> {
        self.list_until(filter, Instant::now() + COUNT_FOR)
    }

    fn list_until(
        &self,
        filter: Filter,
        until: Instant,
    ) -> impl Future<Output = Option<Listing>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let asked = self.questions.try_send(Question { filter, until, answer });
        async move {
            asked.ok()?;
            tokio::time::timeout(PATIENCE, answered).await.ok()?.ok()
        }
    }
}

impl Pulse {
    /// The calling thread's event loop is the worker's from now on; must run on it.
    pub(super) fn begin(&self) {
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        beats.before = beats.sum();
        beats.cpu_ns = 0;
        beats.metrics = Some(tokio::runtime::Handle::current().metrics());
    }

    /// The processor time of the worker's threads, of which this is the one that runs or ran last, and the time in which their event loops
    /// did not wait, in nanoseconds.
    pub(super) fn look(&self, thread_id: Option<u32>) -> (u64, u64) {
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = thread_id.and_then(thread_time).map(nanoseconds).unwrap_or_default();
        beats.cpu_ns = beats.cpu_ns.max(now);
        beats.sum()
    }
}

impl Beats {
    fn sum(&self) -> (u64, u64) {
        let busy = self.metrics.as_ref().map(|metrics| metrics.worker_total_busy_duration(0));
        (self.before.0 + self.cpu_ns, self.before.1 + nanoseconds(busy.unwrap_or_default()))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::super::{Capacity, Server, Settings, Stop};
    use super::*;
    use crate::config::ServeArgs;
    use crate::config::limits::WhenFull;
    use crate::database::{PoolSettings, PoolSize, Reach};
    use crate::telemetry::labels::{
        CloseReason, ConnectionState as Label, DatabaseFailure, Route, StatusClass,
    };

    #[derive(clap::Parser)]
    struct Given {
        #[command(flatten)]
        serve: ServeArgs,
    }

    /// A server of one worker, in front of a database that is not there.
    fn serve(words: &[&str], most: usize, when_full: WhenFull) -> (Server, SocketAddr) {
        let args = Given::parse_from(["serve", "--workers", "1"].iter().chain(words)).serve;
        let pool = PoolSettings {
            config: "host=127.0.0.1 port=1 user=nobody".parse().unwrap(),
            size: tokio::sync::watch::channel(PoolSize { least: 1, most: 1 }).1,
            wait: args.limits.request_deadline,
            max_waiting: args.database.max_waiting,
            driver: args.database.driver,
            statements: args.database.statements,
            max_age: None,
            reads: None,
        };
        let settings = Settings {
            workers: args.workers,
            limits: args.limits,
            capacity: Capacity::new(most, when_full),
            dispatch: args.database.dispatch,
            lab: args.lab,
            listeners_are_lent: false,
            end_patience: Duration::from_secs(1),
            pools: vec![pool],
            reach: Arc::<Reach>::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        (Server::start(vec![listener], settings).unwrap(), address)
    }

    /// Looks until it is as wanted.
    fn wait_for(view: &WorkerView, wanted: impl Fn(&Worker) -> bool) -> Worker {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let seen = view.read();
            if wanted(&seen) {
                return seen;
            }
            assert!(Instant::now() < end, "{seen:?}");
            std::thread::yield_now();
        }
    }

    fn ask(address: SocketAddr, target: &str) -> (TcpStream, String) {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        let mut answer = vec![0; 1024];
        let length = client.read(&mut answer).unwrap();
        answer.truncate(length);
        (client, String::from_utf8(answer).unwrap())
    }

    fn list(view: &WorkerView, filter: Filter) -> Option<Listing> {
        list_until(view, filter, Instant::now() + Duration::from_secs(10))
    }

    fn list_until(view: &WorkerView, filter: Filter, until: Instant) -> Option<Listing> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { view.list_until(filter, until).await })
    }

    #[test]
    fn a_pause_holds_requests_for_the_database_until_their_deadline() {
        let (mut server, address) = serve(&["--request-deadline", "100ms"], 100, WhenFull::Refuse);
        let paused = Instant::now();
        server.brake().send_replace(true);
        let (_, answer) = ask(address, "/json");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (_, answer) = ask(address, "/db");
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(paused.elapsed() >= Duration::from_millis(100), "it waited for as long as it might");
        server.stop(Stop::Now);
        server.join();
    }

    #[test]
    fn connections_are_listed_by_what_they_do_served_or_parked() {
        let (mut server, address) = serve(&["--park-after", "1h"], 100, WhenFull::Refuse);
        let view = server.views().remove(0);
        let silent = TcpStream::connect(address).unwrap();
        let (spoken, _) = ask(address, "/json");
        wait_for(&view, |seen| seen.state.open == 2 && seen.state.parked == 1);
        let listing = list(&view, Filter { rows: 10, ..Filter::default() }).unwrap();
        assert_eq!((listing.count, listing.open, listing.unfinished_workers), (2, 2, 0));
        let part = list_until(&view, Filter::default(), Instant::now()).unwrap();
        assert_eq!((part.count, part.unfinished_workers), (1, 1), "the first part, and no more");
        let row = |state| listing.rows.iter().find(|row| row.state == state).unwrap();
        assert_eq!(row(Label::New).peer, silent.local_addr().ok());
        assert_eq!(row(Label::Idle).peer, spoken.local_addr().ok());
        assert_eq!(row(Label::Idle).requests, Some(1));
        server.stop(Stop::Now);
        server.join();
        assert_eq!(list(&view, Filter::default()), None, "a worker that is gone has nothing to list");
        let last = view.read();
        assert!(last.totals.cpu_ns > 0, "what it worked is still known: {last:?}");
        assert!(last.totals.busy_ns > 0, "{last:?}");
    }

    fn connect(address: SocketAddr, words: &str) -> TcpStream {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(words.as_bytes()).unwrap();
        client
    }

    /// Waits until as many connections have ended as are given, each for its reason, and none for another.
    fn expect_ends(view: &WorkerView, expected: &[(CloseReason, u64)]) -> Worker {
        let all: u64 = expected.iter().map(|(_, count)| count).sum();
        let seen = wait_for(view, |seen| seen.totals.closed.values().sum::<u64>() >= all);
        for (reason, count) in seen.totals.closed.iter() {
            let wanted = expected.iter().find(|(wanted, _)| *wanted == reason).map_or(0, |(_, count)| *count);
            assert_eq!(*count, wanted, "{reason:?}: {seen:?}");
        }
        wait_for(view, |seen| seen.totals.accepted == seen.state.open + all)
    }

    const REQUEST: &str = "GET /json HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn a_connection_that_its_client_or_an_answer_ends_is_counted_once() {
        let (mut server, address) = serve(&["--park-after", "0s"], 100, WhenFull::Refuse);
        let view = server.views().remove(0);
        drop(connect(address, ""));
        drop(ask(address, "/json"));
        expect_ends(&view, &[(CloseReason::Client, 2)]);
        let _closing = connect(address, &REQUEST.replace("Host", "Connection: close\r\nHost"));
        let bare = "GET /json HTTP/1.1\n";
        let odd = "GET /json HTTP/1.1\r\nHo st: a\r\n\r\n";
        let homeless = "GET /json HTTP/1.1\r\n\r\n";
        let mut refused = [bare, odd, homeless, odd].map(|words| {
            let mut client = connect(address, words);
            assert!(client.read(&mut [0; 1024]).unwrap() > 0);
            Some(client)
        });
        // All but the last one leave when they hear it.
        refused[..3].fill_with(|| None);
        let last = [(CloseReason::Client, 2), (CloseReason::Answered, 4), (CloseReason::Timeout, 1)];
        let totals = expect_ends(&view, &last).totals;
        assert_eq!(totals.answered[Route::Unframed][StatusClass::ClientError], 4, "{totals:?}");
        assert_eq!(totals.answered[Route::Json][StatusClass::Successful], 2);
        assert_eq!((totals.requests(), totals.begun, totals.in_flight()), (6, 2, 0));
        assert_eq!(totals.request_time.count(), 2, "what reached no route has no time");
        server.stop(Stop::Now);
        server.join();
    }

    #[test]
    fn a_connection_that_takes_too_long_is_counted_once() {
        let hasty = ["--idle-timeout", "300ms", "--header-timeout", "100ms", "--park-after", "50ms"];
        let (mut server, address) = serve(&hasty, 100, WhenFull::Refuse);
        let view = server.views().remove(0);
        let _silent = connect(address, "");
        let _idle = connect(address, REQUEST);
        let slow = connect(address, "GET /json HTTP/1.1\r\n");
        let mut refusal = String::new();
        (&slow).read_to_string(&mut refusal).unwrap();
        assert!(refusal.starts_with("HTTP/1.1 408"), "{refusal}");
        drop(slow);
        let totals = expect_ends(&view, &[(CloseReason::Idle, 2), (CloseReason::Timeout, 1)]).totals;
        assert_eq!(totals.answered[Route::Unframed][StatusClass::ClientError], 1);
        server.stop(Stop::Now);
        server.join();
    }

    #[test]
    fn one_connection_too_many_is_counted_as_refused_or_as_the_one_that_made_room() {
        for (when_full, reason) in
            [(WhenFull::Refuse, CloseReason::Full), (WhenFull::Evict, CloseReason::Evicted)]
        {
            let (mut server, address) = serve(&[], 1, when_full);
            let view = server.views().remove(0);
            let _first = connect(address, "");
            wait_for(&view, |seen| seen.state.parked == 1);
            drop(connect(address, ""));
            let ends: &[_] = match reason {
                CloseReason::Full => &[(reason, 1)],
                _ => &[(reason, 1), (CloseReason::Client, 1)],
            };
            let totals = expect_ends(&view, ends).totals;
            let refused = u64::from(reason == CloseReason::Full);
            assert_eq!(totals.answered[Route::Unframed][StatusClass::ServerError], refused);
            server.stop(Stop::Now);
            server.join();
        }
    }

    #[test]
    fn what_a_worker_ends_with_itself_is_counted_once() {
        for stop in [Stop::Drain, Stop::Now] {
            let words = ["--park-after", "50ms", "--drain-grace", "50ms", "--lab"];
            let (mut server, address) = serve(&words, 100, WhenFull::Refuse);
            let view = server.views().remove(0);
            let _silent = connect(address, "");
            let _parked = connect(address, REQUEST);
            wait_for(&view, |seen| seen.state.parked == 2 && seen.totals.requests() == 1);
            let _busy = connect(address, "GET /lab/wait?ms=60000 HTTP/1.1\r\nHost: a\r\n\r\n");
            wait_for(&view, |seen| seen.totals.in_flight() == 1);
            server.stop(stop);
            server.join();
            let totals = expect_ends(&view, &[(CloseReason::Drain, 3)]).totals;
            assert_eq!((totals.abandoned, totals.in_flight()), (1, 0));
        }
    }

    #[test]
    fn requests_are_counted_by_route_and_status_in_every_way_of_accepting() {
        for accept in ["reuseport", "shared", "handoff"] {
            let (mut server, address) = serve(&["--accept", accept, "--lab"], 100, WhenFull::Refuse);
            let view = server.views().remove(0);
            let line = format!("{REQUEST}{}{REQUEST}", REQUEST.replace("/json", "/nothing"));
            let mut client = connect(address, &line);
            wait_for(&view, |seen| seen.totals.requests() == 3);
            let mut answers = vec![0; 4096];
            let read = client.read(&mut answers).unwrap();
            let (_db, _) = ask(address, "/db");
            let (_lab, _) = ask(address, "/lab/wait?ms=1");
            let totals = view.read().totals;
            assert_eq!(totals.answered[Route::Json][StatusClass::Successful], 2);
            assert_eq!(totals.answered[Route::Other][StatusClass::ClientError], 1);
            assert_eq!(totals.answered[Route::Db][StatusClass::ServerError], 1);
            assert_eq!(totals.answered[Route::Lab][StatusClass::Successful], 1);
            assert_eq!((totals.begun, totals.requests(), totals.request_time.count()), (5, 5, 5));
            assert_eq!(totals.database_failures[DatabaseFailure::Unreached], 1);
            assert_eq!(totals.accepted, 3);
            assert!(totals.bytes_in > line.len() as u64 && totals.bytes_out > read as u64, "{totals:?}");
            server.stop(Stop::Now);
            server.join();
        }
    }
}
