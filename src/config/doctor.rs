//! Settings of `plimsoll doctor`: the question, and what to do about the answer.
//!
//! **Invariant:** nothing of the system is changed without `--apply`, `--revert` or `--write`.

use std::path::PathBuf;

use super::database::{DEFAULT_POOL_PER_CORE, Target, parse_most_per_core, resolve_target};
use super::layers::SettingsError;
use super::pgenv;
use super::reads;
use super::workers::MOST_PROCESSES;

/// The question when nobody asks another: past the soft limit of 1024 descriptors that most systems give, and within what one
/// process holds on most of them.
const DEFAULT_CONNECTIONS: u64 = 10_000;

/// A hundred times a million: past any machine, short of where the arithmetic would overflow.
const MOST_CONNECTIONS: u64 = 100_000_000;

/// More machines than anybody runs before one database, and few enough for the arithmetic.
const MOST_NODES: u32 = 100_000;

/// Settings of `plimsoll doctor`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Exit code 0 when nothing stops the connections that were asked for, 1 when something does, or when \
                        a setting could not be changed or put back.\n\n\
                        plimsoll doctor --connections 1000000\n\
                        plimsoll doctor --connections 1000000 --clients here --apply\n\
                        plimsoll doctor --revert\n\
                        plimsoll doctor --rate 1 --capacity 100000        100 000 clients of one request a second each\n\
                        plimsoll doctor --nodes 3 --database-url postgres://…    whether a database has room for three of these"
)]
pub struct DoctorArgs {
    /// Connections to hold at once [default: the clients that --capacity serves at --rate, else 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_CONNECTIONS))]
    pub connections: Option<u64>,
    /// Where the clients run; where they are here too, memory, files and ports hold both ends
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = ClientsAt::Elsewhere)]
    pub clients: ClientsAt,
    /// Processes that serve [default: as many as the descriptor limit makes it take]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_PROCESSES))]
    pub processes: Option<u32>,
    /// Machines like this one that serve from the same database: says whether it has room for the plans of all of them; count those of a rolling restart too
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_NODES)))]
    pub nodes: Option<u32>,
    /// Source addresses of clients that run here [default: as many as the ports make it take]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub sources: Option<u32>,
    /// Ports that the service listens on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub ports: u16,

    /// Requests a second that each client sends; with --capacity
    #[arg(long, value_name = "R", requires = "capacity", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Requests a second that the service was measured to answer; with --rate
    #[arg(long, value_name = "C", requires = "rate", value_parser = parse_rate)]
    pub capacity: Option<f64>,

    /// The database whose room is asked for, as for serve; without one that is not checked
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Where rows are read, as for serve; with --nodes
    #[arg(long, value_name = "URL", env = "DATABASE_READ_URL", hide_env_values = true)]
    pub database_read_url: Option<String>,
    /// Database connections for each core, as for serve
    #[arg(long, value_name = "N", env = "PLIMSOLL_POOL_PER_CORE", default_value = DEFAULT_POOL_PER_CORE, value_parser = parse_most_per_core)]
    pub pool_per_core: f64,
    /// Never more database connections than this, over all workers, as for serve [default: no bound]
    #[arg(long, value_name = "N", env = "DATABASE_MAX_CONN", value_parser = clap::value_parser!(u32).range(1..))]
    pub database_max_conn: Option<u32>,

    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Write the settings that are needed to this file, as in /etc/sysctl.d/90-plimsoll.conf, for the next start of the machine
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Raise the settings that are too low, now and until the next start of the machine; takes root
    #[arg(long)]
    pub apply: bool,
    /// Put back what --apply changed
    #[arg(long, conflicts_with_all = ["apply", "write", "json", "nodes"])]
    pub revert: bool,
    /// Where --apply notes what it changed [default: plimsoll/doctor-undo.conf in /run, which a start of the machine empties as it resets the settings]
    #[arg(long, value_name = "PATH")]
    pub undo_file: Option<PathBuf>,
    /// Read and set below this folder instead of below /, for tests
    #[arg(long, value_name = "DIR", hide = true, default_value = "/")]
    pub system_root: PathBuf,
}

/// Where the clients run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientsAt {
    /// On other machines
    Elsewhere,
    /// On this machine
    Here,
}

impl DoctorArgs {
    /// The number of connections that is asked about, given the clients that the capacity serves.
    pub fn connections(&self, clients_served: Option<u64>) -> u64 {
        let served = clients_served.map(|clients| clients.clamp(1, MOST_CONNECTIONS));
        self.connections.or(served).unwrap_or(DEFAULT_CONNECTIONS)
    }

    /// Refuses settings that would say nothing.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.sources.is_some() && self.clients == ClientsAt::Elsewhere {
            let why = "--sources counts the addresses of clients on this machine: add --clients here, or leave it out";
            return Err(SettingsError::new(why));
        }
        if self.undo_file.is_some() && !self.apply && !self.revert {
            return Err(SettingsError::new(
                "--undo-file goes with --apply or --revert: add one of them, or leave it out",
            ));
        }
        Ok(())
    }

    /// The database that is named, by the same rule as for `serve`.
    pub fn target(&self) -> Result<Target, SettingsError> {
        Ok(resolve_target(self.database_url.as_deref(), pgenv::read_environment()?))
    }

    /// The replicas that are named, by the same rule as for `serve`.
    pub fn reads(&self) -> Result<Option<Target>, SettingsError> {
        reads::target(self.database_read_url.as_deref())
    }
}

/// A number above zero that can be divided by.
fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.001..=1e9).contains(&number) => Ok(number),
        _ => Err("must be a number of requests a second, from 0.001 to 1000000000".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        doctor: DoctorArgs,
    }

    fn parse(words: &[&str]) -> Result<DoctorArgs, clap::Error> {
        Cli::try_parse_from([&["doctor"], words].concat()).map(|cli| cli.doctor)
    }

    #[test]
    fn the_clients_served_are_the_question_when_no_other_is_asked() {
        let connections = |words: &[&str], served| parse(words).unwrap().connections(served);
        assert_eq!(connections(&[], None), 10_000);
        assert_eq!(connections(&[], Some(100_000)), 100_000);
        assert_eq!(connections(&["--connections", "7"], Some(100_000)), 7);
        assert_eq!(connections(&[], Some(0)), 1);
    }

    #[test]
    fn settings_that_would_say_nothing_are_refused() {
        for (words, taken) in [
            (&["--sources", "3"][..], false),
            (&["--sources", "3", "--clients", "here"], true),
            (&["--undo-file", "x"], false),
            (&["--undo-file", "x", "--revert"], true),
        ] {
            assert_eq!(parse(words).unwrap().check().is_ok(), taken, "{words:?}");
        }
    }

    #[test]
    fn words_that_do_not_go_together_are_refused() {
        for words in [
            &["--rate", "1"][..],
            &["--capacity", "1"],
            &["--revert", "--apply"],
            &["--revert", "--write", "x"],
            &["--revert", "--nodes", "2"],
            &["--nodes", "0"],
            &["--connections", "0"],
            &["--rate", "0", "--capacity", "1"],
            &["--rate", "NaN", "--capacity", "1"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
