//! How long anything may take.
//!
//! **Invariant:** every wait of a request, of a connection and of a stop has a limit here.

use std::time::Duration;

use super::duration::{parse, parse_or_zero};
use super::layers::SettingsError;

/// The section of settings on limits.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitsArgs {
    /// All waits of one request together: for a lane or a checkout, and for its queries; then it is answered with 503.
    #[arg(long, value_name = "TIME", env = "PLIMSOLL_REQUEST_DEADLINE", default_value = "3s", value_parser = parse)]
    pub request_deadline: Duration,
    /// Close a connection that has sent nothing for this long, or has taken neither what waits for it nor 64 KiB of it
    #[arg(long, value_name = "TIME", env = "PLIMSOLL_IDLE_TIMEOUT", default_value = "75s", value_parser = parse)]
    pub idle_timeout: Duration,
    /// Answer a request head that is not whole after this long with 408, and close.
    #[arg(long, value_name = "TIME", env = "PLIMSOLL_HEADER_TIMEOUT", default_value = "10s", value_parser = parse)]
    pub header_timeout: Duration,
    /// Take an idle connection's buffers away after this long; it costs a socket and little else until its client speaks again
    #[arg(long, value_name = "TIME", env = "PLIMSOLL_PARK_AFTER", default_value = "1s", value_parser = parse_or_zero)]
    pub park_after: Duration,
    /// Never more connections than this, over all workers [default: the open descriptors this process may have, less what it needs itself]
    #[arg(long, value_name = "N", env = "PLIMSOLL_MAX_CONNECTIONS", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_connections: Option<u64>,
    /// What becomes of a connection more
    #[arg(long, env = "PLIMSOLL_WHEN_FULL", value_enum, default_value_t = WhenFull::Refuse)]
    pub when_full: WhenFull,
    /// In a stop, how long idle connections stay open for a request that is on its way.
    #[arg(long, value_name = "TIME", env = "PLIMSOLL_DRAIN_GRACE", default_value = "1s", value_parser = parse_or_zero)]
    pub drain_grace: Duration,
    /// In a stop, when what still runs is cut off, counted from the signal.
    #[arg(long, value_name = "TIME", env = "PLIMSOLL_DRAIN_DEADLINE", default_value = "1.8s", value_parser = parse_or_zero)]
    pub drain_deadline: Duration,
}

/// What becomes of a connection when there are as many as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum WhenFull {
    /// It is answered with 503 and closed
    Refuse,
    /// It waits in the listener's backlog until another ends
    Wait,
    /// The connection of the same worker that has been idle for longest is closed to make room; with none idle it is refused
    Evict,
}

impl LimitsArgs {
    /// How long a connection's timer may sleep at first: until it is to be parked or closed.
    pub(crate) fn first_look(&self) -> Duration {
        self.park_after.min(self.idle_timeout)
    }

    /// Refuses limits that contradict each other.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.drain_grace > self.drain_deadline {
            return Err(SettingsError::new(format!(
                "--drain-grace ({:?}) is longer than --drain-deadline ({:?}): idle connections would be cut off before \
                 their grace ends. Shorten the first or lengthen the second",
                self.drain_grace, self.drain_deadline
            )));
        }
        Ok(())
    }
}
