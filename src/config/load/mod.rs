//! Settings of `plimsoll load`, under wrk's names where wrk has them.
//!
//! What a person types becomes what it means here: [`Url`], [`WeightedPath`], [`Source`], [`Threshold`], [`Header`].
//!
//! **Invariant:** a word that is refused here has touched no socket.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

mod hold;
mod share;
mod source;
mod threshold;
mod url;

pub use hold::{HoldArgs, Switch};
pub use share::{Share, read_count};
pub use source::{Addresses, Source, SourceError};
pub use threshold::{Measured, Metric, Threshold};
pub use url::{Header, Url, WeightedPath};

use super::duration::{parse, parse_or_zero};
use super::layers::SettingsError;

/// The most threads: past any machine's cores, short of exhausting its threads.
const MOST_THREADS: i64 = 1024;
/// The most requests that one connection may have outstanding.
const MOST_PIPELINED: i64 = 1024;

/// The most requests that all connections together may have outstanding: each takes 16 bytes from the start, which makes 1 GiB.
const MOST_OUTSTANDING: u64 = 1 << 26;

/// How long a request may take where nobody says otherwise; wrk's own.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The same while holding: a million connections opened or asked at once wait their turn.
const TIMEOUT_HOLDING: Duration = Duration::from_secs(30);

/// Settings of `plimsoll load`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct LoadArgs {
    /// What to ask, as in `http://127.0.0.1:8080/json`; connections are spread evenly over several addresses
    #[arg(value_name = "URL", required = true, value_parser = Url::parse)]
    pub urls: Vec<Url>,
    /// Ask this path at every URL's address; may be repeated, each with a weight (/db=3 three times as often as /json=1)
    #[arg(long = "path", value_name = "PATH[=WEIGHT]", value_parser = WeightedPath::parse)]
    pub paths: Vec<WeightedPath>,
    /// Threads, each with its own event loop; no more than there are connections
    #[arg(short, long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    pub threads: u16,
    /// Connections, over all threads
    #[arg(short, long, value_name = "N", default_value = "10", value_parser = read_count)]
    pub connections: NonZeroU32,
    /// How long to ask, after the warm-up
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = parse)]
    pub duration: Duration,
    /// Ask so many times and end, instead of for a duration
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "duration")]
    pub requests: Option<NonZeroU64>,
    /// Ask at this constant rate a second, over all connections, whatever the answers take (open loop); without it each connection asks again once it is answered (closed loop)
    #[arg(long, value_name = "N", value_parser = read_rate)]
    pub rate: Option<NonZeroU64>,
    /// Ask for so long before anything is counted
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_or_zero)]
    pub warm_up: Duration,
    /// Requests that each connection may have outstanding
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=MOST_PIPELINED))]
    pub pipeline: u16,
    /// Send this header with each request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = Header::parse)]
    pub headers: Vec<Header>,
    /// Give a request up after this long, and its connection with it [default: 2s; with --hold 30s]
    #[arg(long, value_name = "TIME", value_parser = parse)]
    pub timeout: Option<Duration>,
    /// Connect from this address, or from all of a range such as 127.0.0.0/26, in turn; may be repeated
    #[arg(long = "source", value_name = "ADDR|CIDR", value_parser = Source::parse)]
    pub sources: Vec<Source>,

    /// Hold many connections instead of asking over few.
    #[command(flatten)]
    pub hold: HoldArgs,

    /// Print the whole distribution of latency
    #[arg(long, help_heading = "Output")]
    pub latency: bool,
    /// Print one JSON object to standard output instead of the report
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Write a row a second to this file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub csv: Option<PathBuf>,
    /// End with exit code 3 where this holds, as in 'p99>5ms', 'errors>0' or 'rate<10000'; may be repeated
    #[arg(long, value_name = "CONDITION", help_heading = "Output", value_parser = Threshold::parse)]
    pub fail_if: Vec<Threshold>,
}

/// The highest rate: past what one machine sends, and low enough that every moment of a day can be told.
const HIGHEST_RATE: u64 = 100_000_000;

fn read_rate(text: &str) -> Result<NonZeroU64, String> {
    let rate = text.parse().ok().filter(|rate: &NonZeroU64| rate.get() <= HIGHEST_RATE);
    rate.ok_or_else(|| format!("not a rate: a number of requests a second, from 1 to {HIGHEST_RATE}"))
}

impl LoadArgs {
    /// Refuses settings that are right one by one and too much together.
    pub fn check(&self) -> Result<(), SettingsError> {
        let connections = self.hold.hold.unwrap_or(self.connections).get();
        let outstanding = u64::from(connections) * u64::from(self.pipeline);
        if outstanding <= MOST_OUTSTANDING {
            return Ok(());
        }
        Err(SettingsError::new(format!(
            "{connections} connections × --pipeline {} are {outstanding} requests outstanding, more than the {MOST_OUTSTANDING} that \
             1 GiB of memory keeps count of: lower one of the two",
            self.pipeline
        )))
    }

    /// How long a request may take.
    pub fn timeout(&self) -> Duration {
        let usual = if self.hold.hold.is_some() { TIMEOUT_HOLDING } else { TIMEOUT };
        self.timeout.unwrap_or(usual)
    }
}

const EXAMPLES: &str = "\
Measure servers that are yours to load: nothing is refused by address.

  plimsoll load -t2 -c256 -d10s http://127.0.0.1:8080/json
      closed loop: as fast as 256 connections are answered
  plimsoll load -c256 --rate 20000 --warm-up 2s --fail-if 'p99>5ms' http://127.0.0.1:8080/db
      open loop: 20 000 a second. Corrected latency counts from when a request was due, so that a server that
      stalls is charged with all that waited (coordinated omission); raw latency counts from when it was sent
  plimsoll load --path /db=3 --path /json=1 -n 100000 http://127.0.0.1:8080
      three in four requests to /db, 100 000 in all
  plimsoll load --hold 100000 --active 1% --source 127.0.0.0/28 http://127.0.0.1:8080/json
      opens 100 000 connections, asks over 1 000 of them for a minute, then asks each of them once

Metrics of --fail-if: p50 p90 p99 p99.9 max mean (corrected; raw.p99 and so on for raw), rate, errors, non_2xx,
active_fraction; with >, >=, < or <=.

Exit codes: 0 done, 1 nothing was answered, 2 usage, 3 a --fail-if held, 71 a system limit, 78 settings.";
