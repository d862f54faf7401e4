//! One run: what is checked before it, and what each of its threads does.
//!
//! **Invariant:** threads share a clock and a request to stop, and nothing else; no lock is taken while requests are out.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::num::{NonZeroU64, TryFromIntError};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::engine::{Clock, Engine, Interval, Offer, Phase, Setup};
use super::ports::{Ends, EndsOfPart, PortRange, TooFewPorts};
use super::schedule::{Beat, Part, Schedule, StopRule};
use super::stats::Stats;
use super::threads::{Row, run_threads};
use super::traffic::Destination;

/// Descriptors for other things than connections: standard streams, epoll, timers, files.
pub(super) const RESERVE: u64 = 64;
/// Descriptors of each thread's own: an epoll and a timer.
const EACH_THREAD: u64 = 2;

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
        "{connections} connections in {threads} threads need {wanted} descriptors, and this process may have {limit} \
         (RLIMIT_NOFILE): raise the hard limit (`ulimit -Hn`), ask for fewer, or spread connections over processes with --hold"
    )]
    Descriptors {
        /// Connections.
        connections: u64,
        /// Threads.
        threads: u64,
        /// What both need, and the process besides.
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

/// Runs a job to its end or until `stop` is set, and tells each second. It sets `stop` itself where a thread fails, and gives an error then.
pub fn run(job: &Job, stop: &Arc<AtomicBool>, watch: &mut dyn FnMut(&Row)) -> Result<Outcome, LoadError> {
    let ends = check(job)?;
    let of = threads(job);
    let clock = Clock(Instant::now());
    let destinations: Arc<[Destination]> = job.destinations.clone().into();
    let cpu_before = cpu_time();
    let work = |index: usize, tell: &mut dyn FnMut(Interval)| {
        let part = Part { index: index as u64, of };
        let mut engine = Engine::new(Setup {
            connections: count(part.of_total(job.connections.into()))?,
            pipeline: job.pipeline,
            timeout: job.timeout,
            destinations: Arc::clone(&destinations),
            ends: EndsOfPart::new(ends.clone(), part),
            clock,
            stop: Arc::clone(stop),
        })?;
        engine.run(phase(job, part), tell)?;
        let end = clock.now();
        engine.close_all(false);
        Ok(end)
    };
    let (stats, end) = run_threads(count(of.get())?, stop, &work, watch)?;
    Ok(Outcome {
        stats,
        elapsed: Duration::from_nanos(end.saturating_sub(nanoseconds(job.warm_up))),
        cpu: cpu_time().saturating_sub(cpu_before),
    })
}

/// As many threads as are asked for, and none without a connection.
fn threads(job: &Job) -> NonZeroU64 {
    let threads = u64::from(job.threads).min(job.connections.into());
    NonZeroU64::new(threads).unwrap_or(NonZeroU64::MIN)
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
    let threads = threads(job).get();
    let wanted = connections + RESERVE + EACH_THREAD * threads;
    if wanted > limit {
        return Err(LoadError::Descriptors { connections, threads, wanted, limit });
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
