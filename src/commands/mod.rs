//! One room for each command: thin glue between settings and the parts that do the work, and what is printed.
//!
//! **Invariant:** a command returns its exit code; only `main` ends the process.

use crate::exit::Exit;

pub(crate) mod health;
pub(crate) mod init_db;
pub(crate) mod serve;

/// Says what went wrong and passes the exit code on.
fn fail(exit: Exit, why: impl std::fmt::Display) -> Exit {
    crate::logging::say(format_args!("error: {why}"));
    exit
}
