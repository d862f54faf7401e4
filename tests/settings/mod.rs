//! Settings: where each comes from, what is refused, and with which exit code.
//!
//! **Invariant:** a setting is judged by what the program does with it as well as by what it prints.

mod addresses;
mod bounds;
mod placement;
mod precedence;
mod refused;
mod variables;

use crate::harness::{Finished, ServerSetup};

/// `serve --show-config` with further words, variables set beforehand by the caller.
fn show(setup: ServerSetup) -> Finished {
    let finished = setup.arg("--show-config").run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished
}

/// `serve` alone, without any flag: all comes from elsewhere.
fn bare() -> ServerSetup {
    ServerSetup::of(&["serve"])
}

/// The value of a setting and where it came from, as `--show-config` prints them.
fn setting(finished: &Finished, name: &str) -> (String, String) {
    let line = finished.stdout.lines().find(|line| line.split_whitespace().next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{}", finished.stdout));
    let mut columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty()).skip(1);
    let mut next = || columns.next().unwrap_or_else(|| panic!("too few columns: {line}")).to_owned();
    (next(), next())
}

/// A settings file in a folder of its own, which must be kept as long as the file is needed.
fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("plimsoll.toml");
    std::fs::write(&path, text).expect("a settings file");
    (folder, path)
}
