//! `plimsoll load` against real servers: what it counts is what was answered, and each failure has its kind.
//!
//! **Invariant:** figures are compared with what the other side counted, or with each other; never with a clock's idea of fast.

mod counts;
mod faults;
mod hold;
mod open_loop;
mod output;
mod stand_in;

use serde_json::Value;

use crate::harness::{Finished, ServerSetup};

/// Runs `load` with these words to its end.
fn load(words: &[&str]) -> Finished {
    ServerSetup::of(&["load"]).args(words).run()
}

/// The same with `--json`, and what it printed.
fn load_json(words: &[&str]) -> (Finished, Value) {
    let finished = ServerSetup::of(&["load", "--json"]).args(words).run();
    let value =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
    (finished, value)
}

/// A count in a report.
fn number(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {report}"))
}
