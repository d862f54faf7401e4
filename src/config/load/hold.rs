//! Settings of `plimsoll load --hold`.
//!
//! **Invariant:** each of them is refused where nothing is held.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::super::duration::parse;
use super::share::{Share, read_count};

/// The section of settings on holding.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Holding")]
pub struct HoldArgs {
    /// Open this many connections, keep them, and ask each of them once at the end
    #[arg(long, value_name = "N", value_parser = read_count, conflicts_with_all = ["connections", "duration", "requests", "warm_up", "csv", "threads", "latency"])]
    pub hold: Option<NonZeroU32>,
    /// Over how many of them requests go while they are held: a share or a number
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = Share::parse, requires = "hold")]
    pub active: Share,
    /// Connections to open a second, over all processes
    #[arg(long, value_name = "N", default_value = "10000", value_parser = super::read_rate, requires = "hold")]
    pub open_rate: NonZeroU64,
    /// How long to keep all of them
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse, requires = "hold")]
    pub hold_for: Duration,
    /// Processes to hold them in [default: as many as the limit of descriptors asks for]
    #[arg(long, value_name = "N", value_parser = read_count, requires = "hold")]
    pub processes: Option<NonZeroU32>,
    /// Whether each connection sends a request as soon as it is open, and so has been served
    #[arg(long, value_name = "on|off", default_value = "on", value_enum, requires = "hold")]
    pub first_request: Switch,
    /// Requests outstanding at once while each connection is asked in the end, over all processes
    #[arg(long, value_name = "N", default_value = "1024", value_parser = read_count, requires = "hold")]
    pub sweep_depth: NonZeroU32,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// Done
    On,
    /// Left out
    Off,
}
