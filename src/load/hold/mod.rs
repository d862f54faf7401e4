//! Holding many connections: as many processes as the limits ask for, each with its part of them.
//!
//! 1. [`plan`] shares connections out; [`message`] is what the processes say to each other.
//! 2. [`part`] is a process that holds; [`parts`] starts and hears them.
//! 3. [`run`] leads through opening, holding and asking each; [`memory`] reads what they cost; [`report`] says it.
//!
//! **Invariant:** no process outlives the one that leads: each ends when its standard input closes.

mod memory;
mod message;
mod part;
mod parts;
pub mod plan;
pub mod report;
mod run;

pub use part::hold_part;
pub use run::{Held, HoldError, HoldJob, Now, Step, hold};
