//! Exit codes: what a script may rely on.
//!
//! **Invariant:** each way to end has one code, and no code is written as a number anywhere else.

use std::process::ExitCode;

/// How the program ended, by the numbers of `sysexits.h` where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Done = 0,
    /// It failed for a reason that no other code names.
    Failed = 1,
    /// The command line could not be understood.
    Usage = 2,
    /// A condition of `load --fail-if` held.
    Condition = 3,
    /// The database was not reached (`EX_UNAVAILABLE`).
    DatabaseUnreached = 69,
    /// An address is in use, or the system set a limit (`EX_OSERR`).
    System = 71,
    /// A setting is wrong, or settings do not go together (`EX_CONFIG`).
    Settings = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
