//! Settings of the commands that look at a running service: `status`, `connections`, `top`.
//!
//! **Invariant:** they read only; what changes a service is in [`super::pool`].

use std::net::IpAddr;
use std::time::Duration;

use super::admin::ReaderArgs;
use super::duration;

/// The states that `--state` takes; the words of the answer.
pub const STATES: [&str; 7] = ["new", "parked", "idle", "reading", "handling", "writing", "closing"];
/// The most rows that `--rows` takes; the service shows no more.
pub const MOST_ROWS: u32 = 10_000;

/// Between two looks, where nobody says otherwise.
const BETWEEN_LOOKS: &str = "2";
/// The shortest time between two looks: the service's own figures are not of shorter times.
const SHORTEST: Duration = Duration::from_millis(200);

/// Settings of `plimsoll status`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "plimsoll status                  one look; where the service was not watched it takes a second\n\
                        plimsoll status --watch          every two seconds until Ctrl-C\n\
                        plimsoll status --json | jq .recent.requests"
)]
pub struct StatusArgs {
    /// Look again and again, so many seconds apart, until Ctrl-C [without a number: 2]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = BETWEEN_LOOKS, value_parser = parse_period)]
    pub watch: Option<Duration>,
    /// Print the page as the service gives it; with --watch a line each
    #[arg(long)]
    pub json: bool,
    /// Where it is asked.
    #[command(flatten)]
    pub reader: ReaderArgs,
}

/// Settings of `plimsoll connections`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "plimsoll connections --state handling --rows 100\n\
                        plimsoll connections --peer 192.0.2.7 --idle-for 10s")]
pub struct ConnectionsArgs {
    /// Only those in this state
    #[arg(long, value_parser = STATES)]
    pub state: Option<String>,
    /// Only those of this address
    #[arg(long, value_name = "ADDR")]
    pub peer: Option<IpAddr>,
    /// Only those on which nothing has come for this long, as in 10s
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub idle_for: Option<Duration>,
    /// How many to show: a sample spread evenly over those that fit
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=i64::from(MOST_ROWS)))]
    pub rows: u32,
    /// Print the answer as the service gives it
    #[arg(long)]
    pub json: bool,
    /// Where it is asked.
    #[command(flatten)]
    pub reader: ReaderArgs,
}

/// Settings of `plimsoll top`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "q, Esc or Ctrl-C ends it; p holds the view still; s sorts the workers by the next column; arrows scroll; \
                        ? lists the keys."
)]
pub struct TopArgs {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse_period)]
    pub every: Duration,
    /// Where it is asked.
    #[command(flatten)]
    pub reader: ReaderArgs,
}

/// A number of seconds, or a duration with its unit.
fn parse_period(text: &str) -> Result<Duration, String> {
    let is_bare = text.ends_with(|c: char| c.is_ascii_digit() || c == '.');
    let period = duration::parse(&if is_bare { format!("{text}s") } else { text.to_owned() })?;
    if period < SHORTEST {
        Err(format!("must be {} at least", duration::display(SHORTEST)))
    } else {
        Ok(period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_in_seconds_unless_it_has_a_unit() {
        for (text, millis) in [("2", 2_000), ("0.5", 500), ("500ms", 500), ("1m", 60_000)] {
            assert_eq!(parse_period(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["0", "0.1", "-1", "soon", "", "99h"] {
            assert!(parse_period(text).is_err(), "{text:?} was taken");
        }
    }
}
