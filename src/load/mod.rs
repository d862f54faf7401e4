//! The load generator: asks a server, and says what it answered.
//!
//! 1. [`traffic`] is what is asked; [`schedule`] when, and until when; [`ports`] from where.
//! 2. [`engine`] is the loop, one for each thread: it waits by [`poll`] and reads answers by [`response`].
//! 3. [`mod@run`] checks and starts a run; [`threads`] adds up the [`stats`] that its threads count; [`report`] says it.
//! 4. [`hold`] is the same for more connections than one process can have: opened, held, and asked one by one.
//!
//! **Invariant:** nothing here is shared with the server: an instrument that shares code with what it measures shares its faults.

mod engine;
pub mod hold;
#[cfg_attr(not(target_os = "linux"), path = "poll_elsewhere.rs")]
pub(crate) mod poll;
pub mod ports;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;
pub mod report;
mod response;
mod run;
mod schedule;
pub mod stats;
mod threads;
pub mod traffic;

pub use run::{Job, LoadError, Outcome, run};
pub use threads::Row;
