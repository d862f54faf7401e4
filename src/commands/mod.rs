//! One room for each command: thin glue between settings and the parts that do the work, and what is printed.
//!
//! **Invariant:** a command returns its exit code; only `main` ends the process.

use std::io::Write as _;

use crate::exit::Exit;

mod asker;
pub(crate) mod connections;
pub(crate) mod delay_part;
pub(crate) mod doctor;
pub(crate) mod health;
pub(crate) mod init_db;
mod interrupt;
pub(crate) mod load;
pub(crate) mod pool;
mod screen;
pub(crate) mod serve;
mod service;
pub(crate) mod status;
pub(crate) mod sweep;
pub(crate) mod top;

/// Says what went wrong and passes the exit code on.
fn fail(exit: Exit, why: impl std::fmt::Display) -> Exit {
    say(format_args!("error: {why}"));
    exit
}

/// Writes a line to standard error. That nobody reads there any more, as under `| head`, must end nothing.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes text to standard output, with the same forbearance.
fn print(text: impl std::fmt::Display) {
    let _ = write!(std::io::stdout(), "{text}");
}
