//! `plimsoll doctor`: what it reads, what it says, and what it changes.
//!
//! [`limits`] asks it about limits of this process and of machines made of files; [`changes`] lets it write settings.
//!
//! **Invariant:** no setting of the machine that the tests run on is ever changed: settings are written to files of a temporary
//! folder.

mod answers;
mod changes;
mod limits;
mod machine;
mod nodes;

use serde_json::Value;

use crate::harness::Finished;

/// The one object that it prints with `--json`.
fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

/// What is said of one limit.
fn finding<'a>(answer: &'a Value, limit: &str) -> &'a Value {
    let findings = answer["findings"].as_array().expect("findings");
    let found = findings.iter().find(|finding| finding["limit"] == limit);
    found.unwrap_or_else(|| panic!("nothing is said of {limit}"))
}
