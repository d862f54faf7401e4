//! A standby that follows one of the tests' clusters (PostgreSQL manual, "Log-Shipping Standby Servers"), and the end of its primary.
//!
//! **Invariant:** as of every cluster: it never outlives the tests, by the same kind of watcher.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};

use rustix::process::Signal;

use super::authority::own;
use super::binaries::{command_for_postgres, find_directory, unprivileged_user};
use super::cluster::Cluster;
use super::database::Session;
use super::patience::{PATIENCE, wait_until};
use super::ports::unused_port;
use super::processes;

/// `$1` the folder of the programs, `$2` the standby's, `$3` the primary's port, `$4` its own. Each line that it reads starts a standby
/// that was killed again.
const WATCHER: &str = r#"
programs=$1 folder=$2
start() {
    "$programs/postgres" -D "$folder/data" -c "port=$1" -c "unix_socket_directories=$folder" -c listen_addresses=127.0.0.1 \
        -c "primary_conninfo=host=127.0.0.1 port=$2 user=postgres" -c fsync=off -c autovacuum=off \
        >>"$folder/log" 2>&1 </dev/null & server=$!
}
start "$4" "$3"
while read -r _; do wait "$server"; start "$4" "$3"; done
kill -QUIT "$server" 2>/dev/null; wait "$server"
rm -rf "$folder"
"#;

/// A running standby.
pub(crate) struct Standby {
    folder: PathBuf,
    port: u16,
    watcher: Child,
    lifeline: Option<ChildStdin>,
}

impl Standby {
    /// Copies the primary and follows it from then on.
    pub(crate) fn of(primary: &Cluster) -> Self {
        Self::through(primary, primary.port())
    }

    /// The same by way of another port, such as a forwarder's.
    pub(crate) fn through(primary: &Cluster, way: u16) -> Self {
        let folder =
            tempfile::Builder::new().prefix("plimsoll-test-").tempdir().expect("a temporary folder").keep();
        if let Some((uid, gid)) = unprivileged_user() {
            chown(&folder, Some(uid), Some(gid)).expect("the standby's folder handed to its user");
        }
        copy(primary, &folder);
        let port = unused_port();
        let mut command = command_for_postgres("/bin/sh");
        command.args(["-c", WATCHER, "plimsoll-test-standby"]).arg(find_directory()).arg(&folder);
        command.args([way.to_string(), port.to_string()]);
        let mut watcher = command
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell for the standby's watcher");
        let lifeline = watcher.stdin.take();
        let standby = Self { folder, port, watcher, lifeline };
        standby.wait_until_it_answers();
        standby
    }

    fn wait_until_it_answers(&self) {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port);
        wait_until("the standby to let a session in", PATIENCE, || {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(!log.contains("could not bind"), "no standby came about:\n{log}");
            Session::try_open(&url).ok()
        });
    }

    /// Kills all its processes, as a power cut would.
    pub(crate) fn kill(&self) {
        kill_all_in(&self.folder);
    }

    /// Starts it again after it was killed, and waits until it lets a session in.
    pub(crate) fn start_again(&self) {
        let mut lifeline = self.lifeline.as_ref().expect("a watcher that listens");
        lifeline.write_all(b"start\n").expect("the watcher to hear");
        self.wait_until_it_answers();
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A session as superuser.
    pub(crate) fn administer(&self, database: &str) -> Session {
        Session::open(&format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port))
    }

    /// Makes it the primary: `pg_ctl promote`, without waiting for it.
    pub(crate) fn promote(&self) {
        let program = find_directory().join("pg_ctl");
        let mut command = command_for_postgres(program);
        command.args(["promote", "--no-wait", "-D"]).arg(self.folder.join("data"));
        let done = command.output().expect("pg_ctl runs");
        assert!(done.status.success(), "{done:?}");
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.watcher.wait();
    }
}

/// Copies the cluster while it runs (PostgreSQL manual, "Making a Base Backup Using the Low Level API"): not every installation of
/// the server's programs has `pg_basebackup`.
fn copy(primary: &Cluster, folder: &Path) {
    let admin = primary.administer("postgres");
    let is_new = admin.number("SELECT current_setting('server_version_num')::int8") >= 150_000;
    let (start, stop) = if is_new {
        ("pg_backup_start('standby', true)", "pg_backup_stop(false)")
    } else {
        ("pg_start_backup('standby', true, false)", "pg_stop_backup(false, false)")
    };
    admin.text(&format!("SELECT {start}"));
    let mut command = command_for_postgres("cp");
    let copied = command.arg("-a").arg(primary.socket_directory().join("data")).arg(folder).output();
    assert!(copied.as_ref().is_ok_and(|output| output.status.success()), "{copied:?}");
    let label = admin.text(&format!("SELECT labelfile FROM {stop}"));
    let data = folder.join("data");
    fs::remove_file(data.join("postmaster.pid")).expect("the primary's pid file out of the copy");
    own(&data.join("backup_label"), &label);
    own(&data.join("standby.signal"), "");
}

/// Ends a cluster as a power cut would: all its processes, by kill -9.
pub(crate) fn kill_all_of(cluster: &Cluster) {
    kill_all_in(cluster.socket_directory());
}

fn kill_all_in(folder: &Path) {
    let file = folder.join("data/postmaster.pid");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let postmaster: u32 =
        text.lines().next().and_then(|line| line.trim().parse().ok()).expect("a process id");
    let children = processes::children_of(postmaster);
    processes::signal(postmaster, Signal::KILL);
    for child in children {
        // One may have ended of itself in between.
        if is_of(child, folder) {
            processes::signal(child, Signal::KILL);
        }
    }
    wait_until("its end", PATIENCE, || (!processes::is_alive(postmaster)).then_some(()));
}

/// Whether a process works in that cluster.
fn is_of(pid: u32, folder: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
}
