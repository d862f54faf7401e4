//! Whether the workloads of `/lab/` are served, and where the one that computes does its work.
//!
//! **Invariant:** off unless asked for: these routes exist to be measured, and spend a server's time on whoever asks.

use clap::builder::BoolishValueParser;

/// The section of settings on the laboratory.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Laboratory")]
pub struct LabArgs {
    /// Serve /lab/wait, /lab/burn, /lab/echo and /lab/panic as well: workloads that wait, compute and take a body, for measuring, and a fault
    #[arg(
        long, value_name = "BOOL", env = "PLIMSOLL_LAB", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new()
    )]
    pub lab: bool,
    /// Where /lab/burn searches: on the worker that took the request, which answers nobody meanwhile, or on a side pool of threads that the process's workers share
    #[arg(long, value_name = "PLACE", env = "PLIMSOLL_BURN", value_enum, default_value_t = Burn::Inline)]
    pub burn: Burn,
}

/// Where a proof of work is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Burn {
    /// On the worker itself
    Inline,
    /// On the side pool; a request beyond its queue is answered with 503
    Offload,
}
