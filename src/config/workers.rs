//! How many threads serve, and how the system schedules them.
//!
//! **Invariant:** cores are those that this process may use: its affinity mask and its cgroup's quota count, the
//! machine's size does not.

use std::num::NonZeroU32;

/// The most workers that one process runs: well past any machine's cores, short of exhausting its threads.
const MOST_WORKERS: i64 = 1024;

/// The section of settings on workers.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Workers")]
pub struct WorkersArgs {
    /// Threads that serve, each with its own event loop and its own share of the pool [default: the cores this process may use]
    #[arg(long, value_name = "N", env = "PLIMSOLL_WORKERS", value_parser = clap::value_parser!(u32).range(1..=MOST_WORKERS))]
    pub workers: Option<u32>,
    /// How the system schedules the workers' threads; under `batch` one that wakes interrupts neither PostgreSQL nor another program on its core, and answers later where those keep the core busy
    #[arg(long, value_name = "POLICY", env = "PLIMSOLL_SCHED", value_enum, default_value_t = Sched::Normal)]
    pub sched: Sched,
    /// Whether each worker keeps to one core, given out in order and round again; caches stay warm, but a worker cannot leave a core that something else keeps busy, as another pinned service does
    #[arg(long, env = "PLIMSOLL_PIN", value_enum, default_value_t = Pin::Off)]
    pub pin: Pin,
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
    /// The number of workers in force.
    pub fn count(&self, cores: NonZeroU32) -> NonZeroU32 {
        self.workers.and_then(NonZeroU32::new).unwrap_or(cores)
    }
}

/// The cores that this process may use: affinity and cgroup quota respected, as the standard library reads them.
pub fn usable_cores() -> NonZeroU32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    u32::try_from(cores).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}
