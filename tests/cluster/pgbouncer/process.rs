//! A `PgBouncer` of a test's own.
//!
//! **Invariant:** it never outlives the tests: its watcher, a shell, ends it and removes its files when the pipe that only this process
//! holds is closed.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};

use crate::harness::{PATIENCE, command_for_postgres, unprivileged_user, unused_port, wait_until};

/// `$1` the program, `$2` the folder. Each line that it reads ends what runs; `start` starts it again.
const WATCHER: &str = r#"
program=$1 folder=$2
end() { if [ -n "$bouncer" ]; then kill -KILL "$bouncer"; wait "$bouncer"; bouncer=; fi 2>/dev/null; }
while read -r word; do
    end
    if [ "$word" = start ]; then "$program" "$folder/bouncer.ini" >>"$folder/log" 2>&1 </dev/null & bouncer=$!; fi
done
end
rm -rf "$folder"
"#;

/// Where Debian puts it, which is not on everybody's path.
const USUAL_PLACE: &str = "/usr/sbin/pgbouncer";

/// A running `PgBouncer`.
pub(super) struct Bouncer {
    folder: PathBuf,
    port: u16,
    watcher: Child,
    lifeline: Option<ChildStdin>,
}

impl Bouncer {
    /// In front of the PostgreSQL at this port of 127.0.0.1, with these settings beside what it needs to run here.
    pub(super) fn start(database_port: u16, settings: &[&str]) -> Self {
        assert!(
            Path::new(USUAL_PLACE).exists(),
            "{USUAL_PLACE} is not there: apt-get install --no-install-recommends pgbouncer"
        );
        let (folder, port) = (make_folder(), unused_port());
        let mut text = format!(
            "[databases]\n* = host=127.0.0.1 port={database_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = md5\nauth_file = {}/users\n",
            folder.display()
        );
        for setting in settings {
            writeln!(text, "{setting}").expect("a longer text");
        }
        own(&folder.join("users"), "\"plimsoll\" \"secret\"\n");
        own(&folder.join("bouncer.ini"), &text);
        let mut command = command_for_postgres("/bin/sh");
        command.args(["-c", WATCHER, "plimsoll-test-pgbouncer", USUAL_PLACE]).arg(&folder);
        let mut watcher =
            command.process_group(0).stdin(Stdio::piped()).spawn().expect("a shell for PgBouncer's watcher");
        let lifeline = watcher.stdin.take();
        let bouncer = Self { folder, port, watcher, lifeline };
        bouncer.go_on();
        wait_until("PgBouncer to listen", PATIENCE, || {
            let log = bouncer.log();
            assert!(!log.contains("FATAL"), "PgBouncer did not start:\n{log}");
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        bouncer
    }

    /// What it has said so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The address of a database behind it.
    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://plimsoll:secret@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Ends it, with all connections through it, where it runs.
    pub(super) fn end(&self) {
        self.say("end");
        wait_until("PgBouncer's end", PATIENCE, || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err().then_some(())
        });
    }

    /// Starts it again; waits for nothing.
    pub(super) fn go_on(&self) {
        self.say("start");
    }

    fn say(&self, word: &str) {
        let mut lifeline = self.lifeline.as_ref().expect("a watcher that listens");
        writeln!(lifeline, "{word}").expect("the watcher to hear");
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.watcher.wait();
    }
}

/// A folder that the watcher removes.
fn make_folder() -> PathBuf {
    let folder =
        tempfile::Builder::new().prefix("plimsoll-test-").tempdir().expect("a temporary folder").keep();
    give(&folder);
    folder
}

fn own(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    give(path);
}

fn give(path: &Path) {
    if let Some((uid, gid)) = unprivileged_user() {
        chown(path, Some(uid), Some(gid)).expect("what is PgBouncer's handed to its user");
    }
}
