//! `plimsoll sweep` end to end, over tiny grids: what it writes, how it ends, and what it leaves behind.
//!
//! **Invariant:** nothing here says how fast anything should be; the figures are only looked at for being there.

mod database;
mod ends;
mod report;

use std::path::Path;

use serde_json::Value;

use crate::harness::{ServerSetup, TestDatabase};

/// Words for a grid that takes seconds.
const TINY: [&str; 10] =
    ["sweep", "--rounds", "1", "--seconds", "0.3", "--warm-up", "50ms", "--connections", "4", "--out"];

/// A tiny sweep over this database, which writes there.
fn tiny(database: &TestDatabase, directory: &Path) -> ServerSetup {
    ServerSetup::of(&TINY).arg(directory).env("DATABASE_URL", database.url())
}

/// The lines of a journal after its first, which says what was swept.
fn records(directory: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join("sweep.jsonl")).unwrap_or_default();
    text.lines().skip(1).filter_map(|line| serde_json::from_str(line).ok()).collect()
}
