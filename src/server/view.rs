//! What may be seen of one worker from another thread: its counters, its places, its processor time, its connections.
//!
//! **Invariant:** looking never waits for the worker's thread, but for a listing of its connections, for which it is asked and given
//! [`PATIENCE`].

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::RuntimeMetrics;
use tokio::sync::{mpsc, oneshot};

use super::admission::WorkerPlaces;
use crate::kernel::usage::thread_time;
use crate::telemetry::counters::WorkerCounters;
use crate::telemetry::listing::{Filter, Listing};
use crate::telemetry::snapshot::{Pool, State, Totals, Worker};

/// How long a worker may take to list its connections.
const PATIENCE: Duration = Duration::from_secs(1);

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

/// How much a worker's thread works.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Of its event loop, once that runs.
    metrics: OnceLock<RuntimeMetrics>,
    /// Its processor time when it was last looked at, in nanoseconds, so that it is still known when the thread has ended.
    cpu_ns: AtomicU64,
}

/// Somebody wants to know a worker's connections.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) filter: Filter,
    pub(super) answer: oneshot::Sender<Listing>,
}

/// What a worker's thread keeps of its view.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) counters: Arc<WorkerCounters>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) questions: mpsc::Receiver<Question>,
}

impl WorkerView {
    /// A worker's two sides: what others see of it, and what its thread keeps for that.
    pub(super) fn of(places: &Arc<WorkerPlaces>) -> (Self, Seen) {
        let counters = Arc::new(WorkerCounters::default());
        let pulse = Arc::new(Pulse::default());
        let (questions, asked) = mpsc::channel(MOST_QUESTIONS);
        let seen = Seen { counters: Arc::clone(&counters), pulse: Arc::clone(&pulse), questions: asked };
        (Self { counters, places: Arc::clone(places), pulse, questions }, seen)
    }

    /// What it has counted, and what is so now.
    pub(crate) fn read(&self) -> Worker {
        let thread_id = self.counters.thread_id.read();
        let busy_ns = self.pulse.busy_ns();
        let cpu_ns = self.pulse.cpu_ns(thread_id);
        let state = State {
            open: self.places.taken() as u64,
            parked: self.places.parked() as u64,
            pool: Pool::read(&self.counters),
        };
        Worker { thread_id, totals: Totals { cpu_ns, busy_ns, ..Totals::read(&self.counters) }, state }
    }

    /// Asks for its connections; none where it doesn't answer in time, or is asked too much.
    pub(crate) fn list(&self, filter: Filter) -> impl Future<Output = Option<Listing>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let asked = self.questions.try_send(Question { filter, answer });
        async move {
            asked.ok()?;
            tokio::time::timeout(PATIENCE, answered).await.ok()?.ok()
        }
    }
}

impl Pulse {
    /// The calling thread's event loop is the worker's; must run on it.
    pub(super) fn begin(&self) {
        // Begun once for each worker.
        let _ = self.metrics.set(tokio::runtime::Handle::current().metrics());
    }

    /// Looks at the processor time a last time; the thread is ending.
    pub(super) fn end(&self, thread_id: Option<u32>) {
        self.cpu_ns(thread_id);
    }

    fn busy_ns(&self) -> u64 {
        let busy = self.metrics.get().map(|metrics| metrics.worker_total_busy_duration(0));
        nanoseconds(busy.unwrap_or_default())
    }

    fn cpu_ns(&self, thread_id: Option<u32>) -> u64 {
        let now = thread_id.and_then(thread_time).map(nanoseconds).unwrap_or_default();
        self.cpu_ns.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Instant;

    use clap::Parser as _;

    use super::super::{Capacity, Server, Settings, Stop};
    use super::*;
    use crate::config::ServeArgs;
    use crate::config::limits::WhenFull;
    use crate::database::{PoolSettings, PoolSize, Reach};
    use crate::telemetry::labels::ConnectionState as Label;

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
            driver: args.database.driver,
            statements: args.database.statements,
        };
        let settings = Settings {
            workers: args.workers,
            limits: args.limits,
            capacity: Capacity::new(most, when_full),
            dispatch: args.database.dispatch,
            lab: args.lab,
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { view.list(filter).await })
    }

    #[test]
    fn a_pause_holds_requests_for_the_database_until_their_deadline() {
        let (server, address) = serve(&["--request-deadline", "100ms"], 100, WhenFull::Refuse);
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
        let (server, address) = serve(&["--park-after", "1h"], 100, WhenFull::Refuse);
        let view = server.views().remove(0);
        let silent = TcpStream::connect(address).unwrap();
        let (spoken, _) = ask(address, "/json");
        wait_for(&view, |seen| seen.state.open == 2 && seen.state.parked == 1);
        let listing = list(&view, Filter { rows: 10, ..Filter::default() }).unwrap();
        assert_eq!((listing.count, listing.open), (2, 2));
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
}
