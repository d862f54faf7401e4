//! Every way to arrange processes, workers and accepts, and what happens to clients while processes come and go.
//!
//! **Invariant:** a request that was sent on an open connection is answered, unless the very process that held it was killed.

mod counts;
mod deaths;
mod full;
mod live;
mod ready;
mod reload;
mod routes;
mod steering;
mod stop;

use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{ServerSetup, TestDatabase};

const ACCEPTS: [&str; 3] = ["reuseport", "shared", "handoff"];

/// A service of two processes with a worker each.
fn two_processes(database: &TestDatabase, accept: &str) -> ServerSetup {
    ServerSetup::of(&["serve", "--port", "0", "--processes", "2", "--workers", "1", "--accept", accept])
        .env("DATABASE_URL", database.url())
}

/// A settings file in a folder of its own, which must be kept as long as the file is needed.
fn settings_file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("plimsoll.toml");
    std::fs::write(&path, text).expect("a settings file");
    (folder, path)
}

/// A copy of the program, whose place another may take while it runs.
struct Replaceable {
    _folder: tempfile::TempDir,
    path: String,
}

impl Replaceable {
    fn create() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("plimsoll").display().to_string();
        let program = Self { _folder: folder, path };
        program.restore();
        program
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn remove(&self) {
        std::fs::remove_file(&self.path).expect("the copy to go");
    }

    /// By another process: a file that this one writes could not be executed while a sibling of the test is between fork and exec.
    fn replace(&self, by: &str) {
        let copied = std::process::Command::new("cp").args(["--remove-destination", by, &self.path]).status();
        assert!(copied.expect("cp").success());
    }

    /// By one that runs for a while and says nothing.
    fn replace_by_a_silent_one(&self) {
        let script = format!("{}.silent", self.path);
        std::fs::write(&script, "#!/bin/sh\nexec sleep 60\n").expect("a script");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        self.replace(&script);
    }

    fn restore(&self) {
        self.replace(env!("CARGO_BIN_EXE_plimsoll"));
    }
}
