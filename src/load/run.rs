//! One run: its threads, and what they count, added up second by second.
//!
//! **Invariant:** threads share a clock and a request to stop, and nothing else; no lock is taken while requests are out.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::num::{NonZeroU64, TryFromIntError};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::engine::{Clock, Engine, Interval, Offer, Phase, Setup};
use super::ports::{Ends, EndsOfPart, PortRange, TooFewPorts};
use super::schedule::{Beat, Part, Schedule, StopRule};
use super::stats::Stats;
use super::traffic::Destination;

/// Descriptors for other things than connections: standard streams, epoll, timers, files.
pub(super) const RESERVE: u64 = 64;

/// What to do.
#[derive(Debug, Clone)]
pub struct Job {
    /// Threads.
    pub threads: u16,
    /// Connections over all threads.
    pub connections: u32,
    /// Requests outstanding on each.
    pub pipeline: u16,
    /// Limit of a request and of a connection's opening.
    pub timeout: Duration,
    /// What is asked.
    pub destinations: Vec<Destination>,
    /// Where from; none where the system chooses.
    pub sources: Vec<IpAddr>,
    /// Not counted.
    pub warm_up: Duration,
    /// Counted, where no number of requests is given.
    pub duration: Duration,
    /// How many to ask.
    pub requests: Option<NonZeroU64>,
    /// How many a second; none for a closed loop.
    pub rate: Option<NonZeroU64>,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Nobody is there.
    #[error("{address} does not answer: {source}. Is the server running, and is this its address and port?")]
    Unreached {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Ports.
    #[error(transparent)]
    Ports(#[from] TooFewPorts),
    /// A source address.
    #[error(
        "{source_address} cannot be connected from to {destination}: {why}. `ip addr` shows the addresses of this machine; name others with --source"
    )]
    Source {
        /// Where from.
        source_address: IpAddr,
        /// Where to.
        destination: SocketAddr,
        /// What the system said.
        why: io::Error,
    },
    /// Descriptors.
    #[error(
        "{wanted} connections need more descriptors than the {limit} that this process may have (RLIMIT_NOFILE): raise the \
         hard limit (`ulimit -Hn`), ask for fewer connections, or spread them over processes with --hold"
    )]
    Descriptors {
        /// Connections.
        wanted: u64,
        /// The hard limit.
        limit: u64,
    },
    /// The event loop.
    #[error("load cannot be made here: {0}")]
    System(#[from] io::Error),
    /// A thread ended by a panic, which has said why.
    #[error("a thread of the load generator died")]
    Died,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// All that was counted.
    pub stats: Stats,
    /// From the first that counts to the last answer.
    pub elapsed: Duration,
    /// This process's own time on a processor, warm-up included.
    pub cpu: Duration,
}

/// One second of all threads.
#[derive(Debug)]
pub struct Row {
    /// Which, from the start of the run.
    pub second: u64,
    /// What was counted in it.
    pub stats: Stats,
    /// Connections open at its end.
    pub open: u64,
}

/// What a thread says.
enum Word {
    Interval(usize, Box<Interval>),
    Ended(usize, io::Result<u64>),
}

/// Runs a job to its end or until `stop` is set, and tells each second.
pub fn run(job: &Job, stop: &Arc<AtomicBool>, watch: &mut dyn FnMut(&Row)) -> Result<Outcome, LoadError> {
    let ends = check(job)?;
    let threads = u64::from(job.threads).min(u64::from(job.connections)).max(1);
    let of = NonZeroU64::new(threads).unwrap_or(NonZeroU64::MIN);
    let clock = Clock(Instant::now());
    let destinations: Arc<[Destination]> = job.destinations.clone().into();
    let (words, heard) = channel();
    let cpu_before = cpu_time();
    thread::scope(|scope| {
        for index in 0..threads {
            let part = Part { index, of };
            let setup = Setup {
                connections: count(part.of_total(job.connections.into()))?,
                pipeline: job.pipeline,
                timeout: job.timeout,
                destinations: Arc::clone(&destinations),
                ends: EndsOfPart::new(ends.clone(), part),
                clock,
                stop: Arc::clone(stop),
            };
            let (phase, words) = (phase(job, part), words.clone());
            thread::Builder::new()
                .name(format!("load-{index}"))
                .spawn_scoped(scope, move || one_thread(setup, phase, &words))?;
        }
        drop(words);
        let (stats, end) = listen(&heard, count(threads)?, watch)?;
        Ok(Outcome {
            stats,
            elapsed: Duration::from_nanos(end.saturating_sub(nanoseconds(job.warm_up))),
            cpu: cpu_time().saturating_sub(cpu_before),
        })
    })
}

/// Refuses what cannot work, before the first of many connections is opened.
fn check(job: &Job) -> Result<Ends, LoadError> {
    let connections = u64::from(job.connections);
    let ends = Ends {
        sources: job.sources.clone(),
        destinations: job.destinations.len(),
        ports: PortRange::of_this_machine(),
    };
    ends.check(connections)?;
    check_sources(&job.sources, &job.destinations)?;
    let limit = raise_descriptor_limit();
    if connections.saturating_add(RESERVE) > limit {
        return Err(LoadError::Descriptors { wanted: connections, limit });
    }
    reach(&job.destinations, job.timeout)?;
    Ok(ends)
}

/// Binds to each source address once: one that is not ours would fail for every connection, and for each port anew.
pub(super) fn check_sources(sources: &[IpAddr], destinations: &[Destination]) -> Result<(), LoadError> {
    for Destination { address, .. } in destinations {
        for source in sources {
            let refuse = |why| LoadError::Source { source_address: *source, destination: *address, why };
            if source.is_ipv4() != address.is_ipv4() {
                return Err(refuse(io::Error::other("one is IPv4 and the other IPv6")));
            }
            TcpListener::bind((*source, 0)).map_err(refuse)?;
        }
    }
    Ok(())
}

/// Connects to each destination once, as wrk does, so that a wrong address is told as such.
pub(super) fn reach(destinations: &[Destination], timeout: Duration) -> Result<(), LoadError> {
    for Destination { address, .. } in destinations {
        TcpStream::connect_timeout(address, timeout)
            .map_err(|source| LoadError::Unreached { address: *address, source })?;
    }
    Ok(())
}

/// Raises the soft limit of descriptors to the hard one, and says what is in force.
pub(super) fn raise_descriptor_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised =
        current == maximum || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    (if raised { maximum } else { current }).unwrap_or(u64::MAX)
}

fn phase(job: &Job, part: Part) -> Phase {
    let counted_from = nanoseconds(job.warm_up);
    let until = job.requests.is_none().then(|| counted_from + nanoseconds(job.duration));
    Phase {
        ramp: None,
        schedule: job.rate.map_or(Schedule::Closed, |rate| Schedule::Open(Beat::new(0, rate, part))),
        offer: Offer::Again,
        stop: StopRule { counted_from, until, left: job.requests.map(|all| part.of_total(all.get())) },
        active: usize::MAX,
        most_in_flight: usize::MAX,
        reopen: true,
    }
}

fn one_thread(setup: Setup, phase: Phase, words: &Sender<Word>) {
    let index = usize::try_from(setup.ends.index()).unwrap_or_default();
    let clock = setup.clock;
    let run = |setup| {
        let mut engine = Engine::new(setup)?;
        // That nobody listens any more means that the run is being given up.
        engine.run(phase, &mut |interval| drop(words.send(Word::Interval(index, Box::new(interval)))))?;
        let end = clock.now();
        engine.close_all(false);
        Ok(end)
    };
    let _ = words.send(Word::Ended(index, run(setup)));
}

/// Adds up what threads tell until all have ended; gives the sum and the moment of the last end.
fn listen(
    heard: &Receiver<Word>,
    threads: usize,
    watch: &mut dyn FnMut(&Row),
) -> Result<(Stats, u64), LoadError> {
    let mut sum = Stats::default();
    let mut rows: BTreeMap<u64, Row> = BTreeMap::new();
    let mut told: Vec<Option<u64>> = vec![None; threads];
    let mut end = 0;
    let mut running = threads;
    while running > 0 {
        match heard.recv().map_err(|_| LoadError::Died)? {
            Word::Interval(index, interval) => {
                let Interval { second, stats, open } = *interval;
                sum.add(&stats);
                let row = rows.entry(second).or_insert(Row { second, stats: Stats::default(), open: 0 });
                row.stats.add(&stats);
                row.open += open;
                told[index] = Some(second);
            }
            Word::Ended(index, ended) => {
                end = end.max(ended?);
                told[index] = Some(u64::MAX);
                running -= 1;
            }
        }
        let whole = told.iter().min().copied().flatten();
        while let Some(row) = rows.first_entry().filter(|row| whole.is_some_and(|whole| *row.key() < whole)) {
            watch(&row.remove());
        }
    }
    rows.values().for_each(watch);
    Ok((sum, end))
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn count(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(|error: TryFromIntError| io::Error::other(error))
}
