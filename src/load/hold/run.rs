//! Leads the parts through opening, holding, and asking each connection once.
//!
//! **Invariant:** whatever happens, the parts are closed down at the end, and what was counted until then is given back.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::ports::{Ends, PortRange, TooFewPorts};
use super::super::run::{LoadError, RESERVE, check_sources, nanoseconds, raise_descriptor_limit, reach};
use super::super::schedule::Part;
use super::super::stats::Stats;
use super::super::traffic::Destination;
use super::memory::{Reading, Watched};
use super::message::{Assignment, Order};
use super::parts::{Gathered, News, Parts};
use super::plan::{PlanError, PlanInput, processes};

/// What to hold, and what to do meanwhile.
#[derive(Debug, Clone)]
pub struct HoldJob {
    /// This program, and the words that make it a part.
    pub program: PathBuf,
    /// See `program`.
    pub words: Vec<&'static str>,
    /// Connections.
    pub connections: NonZeroU32,
    /// How many of them are asked over while they are held.
    pub active: u32,
    /// Connections opened a second.
    pub open_rate: NonZeroU64,
    /// Whether each is asked when it opens.
    pub first_request: bool,
    /// How long they are held.
    pub hold_for: Duration,
    /// Requests a second meanwhile; none for a closed loop.
    pub rate: Option<NonZeroU64>,
    /// Requests outstanding while each is asked in the end.
    pub sweep_depth: NonZeroU32,
    /// Processes asked for.
    pub processes: Option<NonZeroU32>,
    /// Cores of this machine.
    pub cores: NonZeroU32,
    /// Requests outstanding on one connection.
    pub pipeline: u16,
    /// Limit of a request and of a connection's opening.
    pub timeout: Duration,
    /// What is asked.
    pub destinations: Vec<Destination>,
    /// Where from; none where the system chooses.
    pub sources: Vec<IpAddr>,
}

/// Why nothing was held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// As for other load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Ports.
    #[error(transparent)]
    Ports(#[from] TooFewPorts),
    /// Descriptors.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A process could not be started, or died.
    #[error("the connections cannot be held: {0}")]
    Parts(#[from] io::Error),
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Connections open.
    Opening,
    /// They are held, and some are asked over.
    Holding,
    /// Each is asked once.
    Sweeping,
}

/// How far it has come.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// What is being done.
    pub step: Step,
    /// For how long.
    pub elapsed: Duration,
    /// Connections opened, or requests answered, in this step.
    pub done: u64,
    /// How many there should be at its end, where that is known.
    pub of: Option<u64>,
    /// What failed in it.
    pub failed: u64,
}

/// One step, carried out.
#[derive(Debug, Default)]
pub struct Stage {
    /// What was counted.
    pub stats: Stats,
    /// Connections open at its end.
    pub open: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// What came of it; a step that was not reached is none.
#[derive(Debug, Default)]
pub struct Held {
    /// Processes that held.
    pub processes: u32,
    /// Processes that listened.
    pub server_processes: usize,
    /// Opening.
    pub opening: Stage,
    /// Holding.
    pub holding: Option<Stage>,
    /// Asking each.
    pub sweep: Option<Stage>,
    /// Closing.
    pub closing: Duration,
    /// Memory before the first was opened, when all were open, and when they had been held.
    pub memory: [Reading; 3],
    /// Why it ended before its end, if it did.
    pub cut_short: Option<String>,
}

/// Opens connections, holds them, asks each of them, and closes them.
pub fn hold(job: &HoldJob, stop: &AtomicBool, watch: &mut dyn FnMut(Now)) -> Result<Held, HoldError> {
    let ports = PortRange::of_this_machine();
    let ends = Ends { sources: job.sources.clone(), destinations: job.destinations.len(), ports };
    ends.check(job.connections.get().into())?;
    let count = processes(PlanInput {
        connections: job.connections.get(),
        descriptors: raise_descriptor_limit(),
        reserve: RESERVE,
        cores: job.cores,
        processes: job.processes,
    })?;
    check_sources(&job.sources, &job.destinations)?;
    reach(&job.destinations, job.timeout)?;
    let mut leader = Leader {
        parts: Parts::start(&job.program, &job.words, usize::try_from(count.get()).unwrap_or(1))?,
        stop,
        watch,
    };
    let addresses: Vec<SocketAddr> = job.destinations.iter().map(|destination| destination.address).collect();
    let watched = Watched::new(leader.parts.process_ids(), &addresses);
    let mut held = Held { processes: count.get(), server_processes: watched.server.len(), ..Held::default() };
    if let Err(error) = leader.lead(job, NonZeroU64::from(count), ports, &watched, &mut held) {
        held.cut_short = Some(error.to_string());
    } else if stop.load(Ordering::Relaxed) {
        held.cut_short = Some("it was interrupted".into());
    }
    let closing = Instant::now();
    // Parts whose input closes end by themselves, and their connections with them.
    drop(leader);
    held.closing = closing.elapsed();
    Ok(held)
}

struct Leader<'a> {
    parts: Parts,
    stop: &'a AtomicBool,
    watch: &'a mut dyn FnMut(Now),
}

impl Leader<'_> {
    fn lead(
        &mut self,
        job: &HoldJob,
        of: NonZeroU64,
        ports: PortRange,
        watched: &Watched,
        held: &mut Held,
    ) -> io::Result<()> {
        held.memory[0] = watched.read();
        let assignment = |index| Assignment {
            part: Part { index, of },
            connections: job.connections.get().into(),
            pipeline: job.pipeline,
            timeout_ns: nanoseconds(job.timeout),
            destinations: job.destinations.clone(),
            sources: job.sources.clone(),
            ports,
        };
        self.parts.order(|index| Order::Setup(Box::new(assignment(index))));
        self.parts.gather(&mut |_| false).cut_short.map_or(Ok(()), Err)?;
        let open = Order::Open { rate: job.open_rate, first_request: job.first_request };
        // Each step is kept before its end is judged: what was counted until then is reported.
        let (opening, ended) = self.step(Step::Opening, &open, Some(job.connections.get().into()));
        held.opening = opening;
        ended?;
        held.memory[1] = watched.read();
        held.memory[2] = held.memory[1];
        if self.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let order =
            Order::Hold { active: job.active.into(), nanoseconds: nanoseconds(job.hold_for), rate: job.rate };
        let (holding, ended) = self.step(Step::Holding, &order, None);
        held.memory[2] = watched.read();
        let left = holding.open;
        held.holding = Some(holding);
        ended?;
        if self.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let sweep = Order::Sweep { depth: job.sweep_depth.get().into() };
        let (sweep, ended) = self.step(Step::Sweeping, &sweep, Some(left));
        held.sweep = Some(sweep);
        ended
    }

    /// What was counted, and whether all parts came to its end.
    fn step(&mut self, step: Step, order: &Order, of: Option<u64>) -> (Stage, io::Result<()>) {
        let start = Instant::now();
        self.parts.order(|_| order.clone());
        let mut sum = News::default();
        let Gathered { stats, open, cut_short } = self.parts.gather(&mut |news| {
            sum.opened += news.opened;
            sum.answered += news.answered;
            sum.failed += news.failed;
            let done = if step == Step::Opening { sum.opened } else { sum.answered };
            (self.watch)(Now { step, elapsed: start.elapsed(), done, of, failed: sum.failed });
            self.stop.load(Ordering::Relaxed)
        });
        (Stage { stats, open, elapsed: start.elapsed() }, cut_short.map_or(Ok(()), Err))
    }
}
