//! What is counted while the service runs, and what follows from it for whoever looks.
//!
//! Each worker writes [`counters`] of its own, with [`histogram`]s of how long things took; [`snapshot`] is what they hold at one
//! moment, and crosses processes; [`status`] works out of two snapshots what people, pages and scripts are shown; [`listing`] is
//! the connections, [`hosts`] the database's servers; [`panics`] are said here. [`admin`] answers for all of it on listeners of its own, by [`questions`] to this
//! process, or over a [`channel`] to several; [`ask`] asks a running service.
//!
//! **Invariant:** counting never waits: one writer for each counter, and readers that stop nobody.

pub mod admin;
pub mod ask;
pub mod by;
pub mod channel;
pub mod counters;
pub mod histogram;
pub mod hosts;
pub mod labels;
pub mod listing;
pub(crate) mod panics;
pub mod questions;
pub mod snapshot;
pub mod status;
