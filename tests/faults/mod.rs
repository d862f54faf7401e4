//! Faults, made for real: what the service promises under each stands in docs/reliability.md, with the name of its test here.
//!
//! What takes long is ignored by `cargo test` and run by `make faults`, one test after the other, beside everything else of this folder.
//!
//! **Invariant:** a fault is undone before its test ends, however that ends, and no test harms what it did not start.

mod failover;
mod secrets;
mod tls;
mod clock;
mod deaths;
mod descriptors;
mod floods;
mod panics;
mod slow_clients;
mod vanished;
mod supply;
mod systemd;
mod down;
mod disk_full;
mod exhausted;
mod locked;
mod slow;

use std::fmt::Display;

mod overload;

/// Says what came of a fault, as a line that `make faults` keeps: `figure | fault | what was measured`.
fn figure(fault: &str, measured: impl Display) {
    println!("figure | {fault} | {measured}");
}
