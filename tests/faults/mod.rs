//! Faults, made for real: what the service promises under each stands in docs/reliability.md, with the name of its test here.
//!
//! What takes long is ignored by `cargo test` and run by `make faults`, one test after the other, beside everything else of this folder.
//!
//! **Invariant:** a fault is undone before its test ends, however that ends, and no test harms what it did not start.

mod clock;
mod deaths;
mod descriptors;
mod disk_full;
mod down;
mod exhausted;
mod failover;
mod floods;
mod hangs;
mod locked;
mod panics;
mod secrets;
mod slow;
mod slow_clients;
mod supply;
mod systemd;
mod throttled;
mod tls;
mod vanished;

use std::fmt::Display;

mod memory_limit;
mod overload;

/// Says what came of a fault, as a line that `make faults` keeps: `figure | fault | what was measured`.
fn figure(fault: &str, measured: impl Display) {
    println!("figure | {fault} | {measured}");
}
