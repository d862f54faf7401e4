//! The commands that look at a running service and change it: `status`, `connections`, `top`, `pool`.
//!
//! **Invariant:** what they show is compared with what was asked of the service, never with how long anything took.

mod pool;
mod refusals;
mod service;
mod stand_in;
mod top;
mod watch;

use stand_in::StandIn;

use crate::harness::{Finished, ServerSetup};

/// Runs a command that asks the stand-in to its end.
fn ask(stand_in: &StandIn, words: &[&str]) -> Finished {
    ServerSetup::of(words).args(&["--admin", &stand_in.address.to_string()]).run()
}
