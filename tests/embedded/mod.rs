//! The private PostgreSQL's life, with a real one: made, found again, crashed, taken over, refused.
//!
//! **Invariant:** every test has a data directory of its own, and fails if a process is left that works in it.

mod crashes;
mod home;
mod refusals;
mod starts;

pub(crate) use home::{Home, ask, converse};
