//! How many processes and threads serve, how connections come to them, and how the system schedules them.
//!
//! **Invariant:** cores are those that this process may use: its affinity mask and its cgroup's quota count, the
//! machine's size does not.

use std::num::NonZeroU32;

/// The most workers that one process runs: well past any machine's cores, short of exhausting its threads.
const MOST_WORKERS: i64 = 1024;

/// The most processes: a million connections under a limit of 1024 descriptors each, and room for none of its own.
pub(super) const MOST_PROCESSES: i64 = 1024;

/// The section of settings on workers.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Workers")]
pub struct WorkersArgs {
    /// Processes that serve; with more than one a supervisor starts them, watches them, and replaces them one after the other in a reload
    #[arg(long, value_name = "N", env = "PLIMSOLL_PROCESSES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MOST_PROCESSES))]
    pub processes: u32,
    /// Threads that serve in each process, each with its own event loop and its own share of the pool [default: the cores that may be used, divided by the processes]
    #[arg(long, value_name = "N", env = "PLIMSOLL_WORKERS", value_parser = clap::value_parser!(u32).range(1..=MOST_WORKERS))]
    pub workers: Option<u32>,
    /// How connections come to the workers
    #[arg(long, value_name = "WAY", env = "PLIMSOLL_ACCEPT", value_enum, default_value_t = Accept::Reuseport)]
    pub accept: Accept,
    /// How the system schedules the workers' threads; under `batch` one that wakes interrupts neither PostgreSQL nor another program on its core, and answers later where those keep the core busy
    #[arg(long, value_name = "POLICY", env = "PLIMSOLL_SCHED", value_enum, default_value_t = Sched::Normal)]
    pub sched: Sched,
    /// Whether each worker keeps to one core, given out in order and round again; caches stay warm, but a worker cannot leave a core that something else keeps busy, as another pinned service does
    #[arg(long, env = "PLIMSOLL_PIN", value_enum, default_value_t = Pin::Off)]
    pub pin: Pin,
}

/// How connections come to the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Accept {
    /// A listener for each worker; the kernel spreads connections over them evenly
    Reuseport,
    /// One listener for all workers; whoever is free first takes the connection
    Shared,
    /// An acceptor in each process, which gives each connection to the worker with the fewest
    Handoff,
}

/// How many serve, and how connections come to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// Processes that serve.
    pub processes: NonZeroU32,
    /// Workers in each of them.
    pub workers: NonZeroU32,
    /// How connections come to the workers.
    pub accept: Accept,
}

/// The scheduling policy of the workers' threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sched {
    /// As the process was started
    Normal,
    /// `SCHED_BATCH` (sched(7)), which any user may set
    Batch,
}

/// Whether workers keep to cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Pin {
    /// The system moves workers about as it sees fit
    Off,
    /// Each worker on a core of its own, as far as there are enough
    On,
}

impl WorkersArgs {
    /// The topology in force.
    pub fn topology(&self, cores: NonZeroU32) -> Topology {
        let processes = NonZeroU32::new(self.processes).unwrap_or(NonZeroU32::MIN);
        let by_default = NonZeroU32::new(cores.get() / processes).unwrap_or(NonZeroU32::MIN);
        let workers = self.workers.and_then(NonZeroU32::new).unwrap_or(by_default);
        Topology { processes, workers, accept: self.accept }
    }
}

impl Topology {
    /// Workers over all processes.
    pub fn workers_total(self) -> NonZeroU32 {
        self.processes.saturating_mul(self.workers)
    }
}

impl std::fmt::Display for Topology {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processes, workers, accept } = self;
        let processes_noun = if processes.get() == 1 { "process" } else { "processes" };
        let workers_noun = if workers.get() == 1 { "worker" } else { "workers" };
        let accept = match accept {
            Accept::Reuseport => "reuseport",
            Accept::Shared => "shared",
            Accept::Handoff => "handoff",
        };
        write!(formatter, "{processes} {processes_noun} × {workers} {workers_noun}, accept {accept}")
    }
}

/// The cores that this process may use: affinity and cgroup quota respected, as the standard library reads them.
pub fn usable_cores() -> NonZeroU32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    u32::try_from(cores).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(processes: u32, workers: Option<u32>, cores: u32) -> Topology {
        let arguments = WorkersArgs {
            processes,
            workers,
            accept: Accept::Reuseport,
            sched: Sched::Normal,
            pin: Pin::Off,
        };
        arguments.topology(NonZeroU32::new(cores).unwrap())
    }

    #[test]
    fn cores_are_divided_by_the_processes_and_every_process_has_a_worker() {
        for (processes, cores, each) in [(1, 8, 8), (2, 8, 4), (3, 8, 2), (53, 2, 1)] {
            let topology = topology(processes, None, cores);
            assert_eq!(topology.workers.get(), each, "{topology}");
            assert_eq!(topology.workers_total().get(), each * processes, "{topology}");
        }
    }

    #[test]
    fn a_topology_reads_as_a_sentence() {
        assert_eq!(topology(1, Some(2), 8).to_string(), "1 process × 2 workers, accept reuseport");
        assert_eq!(topology(3, Some(1), 8).to_string(), "3 processes × 1 worker, accept reuseport");
    }
}
