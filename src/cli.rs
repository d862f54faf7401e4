//! The command line: one variant for each command, and the way from words to a running command.
//!
//! **Invariant:** nothing is decided here that a setting could decide; commands get what they need as arguments.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands;
use crate::config::sweep::DelayArgs;
use crate::config::{
    self, ConnectionsArgs, DoctorArgs, InitDbArgs, LoadArgs, Parsed, PoolArgs, ReaderArgs, Refusal,
    ServeArgs, StatusArgs, SweepArgs, TopArgs,
};
use crate::exit::Exit;

/// A web service in front of PostgreSQL that knows its own load line.
///
/// `plimsoll serve` answers /json, /plaintext, /db, /queries, /updates, /fortunes and /cached-queries. With no
/// database named it starts a private PostgreSQL of its own.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 a --fail-if held, 69 database not reached, 71 address in use or a system \
                        limit, 78 settings."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What `plimsoll` can be asked to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the seven routes until told to stop.
    Serve(Box<ServeArgs>),
    /// Make and fill the tables in the database that --database-url or `DATABASE_URL` names.
    InitDb(InitDbArgs),
    /// Ask a running service whether it is ready for requests: exit code 0 if it is, 1 if not.
    Health(ReaderArgs),
    /// Show how a running service does: a table of its workers, how even accepts are, and what the wait implies.
    Status(StatusArgs),
    /// Show which connections a running service has, counted by state, age and peer.
    Connections(ConnectionsArgs),
    /// Watch a running service on a terminal.
    Top(TopArgs),
    /// Change the size of a running service's pools, or hold requests for the database back.
    Pool(PoolArgs),
    /// Say which limits of this machine stop how many connections, and mend those that can be mended.
    Doctor(Box<DoctorArgs>),
    /// Ask a server as fast as it answers or at a constant rate, or hold many connections, and measure.
    Load(Box<LoadArgs>),
    /// A process that `load --hold` starts.
    #[command(hide = true)]
    LoadPart,
    /// Measure a grid of settings, name the smallest pool that serves as well as any, and write a report.
    Sweep(Box<SweepArgs>),
    /// A process that `sweep --db-rtt` starts.
    #[command(hide = true)]
    DelayPart(DelayArgs),
}

/// The whole command line as clap sees it, for help texts and the table in the README.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the words given, runs the command they name, and says how it ended.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let (cli, parsed) = match read(&arguments) {
        Ok(read) => read,
        Err(refusal) => return refusal.report(),
    };
    match cli.command {
        Command::Serve(args) => commands::serve::run(&args, &parsed, &|| read_serve(&arguments)),
        Command::InitDb(args) => commands::init_db::run(&args),
        Command::Health(args) => commands::health::run(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Connections(args) => commands::connections::run(&args),
        Command::Top(args) => commands::top::run(&args),
        Command::Pool(args) => commands::pool::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Load(args) => commands::load::run(&args),
        Command::LoadPart => commands::load::run_part(),
        Command::Sweep(args) => commands::sweep::run(&args),
        Command::DelayPart(args) => commands::delay_part::run(&args),
    }
}

/// Reads words, environment and file, as they are now.
fn read(arguments: &[OsString]) -> Result<(Cli, Parsed), Refusal> {
    let parsed = config::parse(Cli::command(), arguments)?;
    let cli = Cli::from_arg_matches(&parsed.matches)
        .map_err(|error| Refusal::Clap { error: Box::new(error), origin: None })?;
    Ok((cli, parsed))
}

/// The same for a service that reads its settings anew.
fn read_serve(arguments: &[OsString]) -> Result<(Box<ServeArgs>, Parsed), Refusal> {
    match read(arguments)? {
        (Cli { command: Command::Serve(args) }, parsed) => Ok((args, parsed)),
        _ => unreachable!("the words that started a service still do"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "<!-- settings -->\n";
    const END: &str = "<!-- /settings -->";

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    /// `PLIMSOLL_WRITE_README=1 cargo test readme` writes the table anew.
    #[test]
    fn the_readme_lists_the_settings_that_there_are() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let readme = std::fs::read_to_string(path).unwrap();
        let (before, rest) = readme.split_once(BEGIN).unwrap();
        let (shown, after) = rest.split_once(END).unwrap();
        let table = config::report::markdown(&command());
        if std::env::var_os("PLIMSOLL_WRITE_README").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
            return;
        }
        assert_eq!(
            shown, table,
            "the README's table is out of date: PLIMSOLL_WRITE_README=1 cargo test readme"
        );
    }
}
