//! A PostgreSQL that a test may kill, hang and start again, with passwords asked for over TCP.
//!
//! **Invariant:** it never outlives the tests, as a [`super::Cluster`] does not: its watcher ends it, hung or not, when the pipe closes;
//! and what was hung goes on however the test ends.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::binaries::{command_for_postgres, find_directory};
use super::cluster::make_folder;
use super::database::Session;
use super::patience::{PATIENCE, wait_until};
use super::ports::unused_port;
use super::processes::{children_of, is_alive};

/// `$1` the folder of the programs, `$2` the cluster's, the rest settings. Each line that it reads starts PostgreSQL; the one before
/// must be waited for first, for a new one takes a dead one that nobody has waited for as alive.
const WATCHER: &str = r#"
programs=$1 folder=$2; shift 2
"$programs/initdb" --username=postgres --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C --no-sync \
    -D "$folder/data" >"$folder/log" 2>&1 </dev/null
while read -r _; do
    [ -z "$server" ] || wait "$server"
    "$programs/postgres" -D "$folder/data" "$@" >>"$folder/log" 2>&1 </dev/null & server=$!
done
if [ -n "$server" ]; then kill -QUIT "$server"; kill -CONT "$server"; wait "$server"; fi 2>/dev/null
rm -rf "$folder"
"#;

/// Connections of it, of which three are kept for superusers.
const MAX_CONNECTIONS: u32 = 40;

/// The cluster; its database `rows` has the service's tables, which belong to the user `plimsoll`.
pub(crate) struct MortalCluster {
    folder: PathBuf,
    port: u16,
    watcher: Child,
    lifeline: Option<ChildStdin>,
}

impl MortalCluster {
    /// The one that tests take turns with; it runs and is whole, whatever the test before did.
    pub(crate) fn take() -> MutexGuard<'static, Self> {
        static SHARED: OnceLock<Mutex<MortalCluster>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Mutex::new(Self::create()));
        let cluster = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if cluster.postmaster().is_none_or(|pid| !is_alive(pid)) {
            cluster.launch();
        }
        cluster.wait_until_accepting();
        cluster.make_whole();
        cluster
    }

    fn create() -> Self {
        let (folder, port) = (make_folder(), unused_port());
        let settings = [
            format!("port={port}"),
            format!("max_connections={MAX_CONNECTIONS}"),
            format!("unix_socket_directories={}", folder.display()),
            "listen_addresses=127.0.0.1".to_owned(),
            // Processes are killed here, not the machine: what was written to the kernel stays. What was answered as committed must be.
            "fsync=off".to_owned(),
            "synchronous_commit=on".to_owned(),
            "autovacuum=off".to_owned(),
        ];
        let mut command = command_for_postgres("/bin/sh");
        command.args(["-c", WATCHER, "plimsoll-test-mortal"]).arg(find_directory()).arg(&folder);
        for setting in settings {
            command.args(["-c", &setting]);
        }
        let mut watcher =
            command.process_group(0).stdin(Stdio::piped()).spawn().expect("a shell for PostgreSQL's watcher");
        let lifeline = watcher.stdin.take();
        let cluster = Self { folder, port, watcher, lifeline };
        cluster.launch();
        cluster.wait_until_accepting();
        let admin = cluster.administer("postgres");
        admin.run("CREATE ROLE plimsoll LOGIN PASSWORD 'secret'");
        admin.run("CREATE DATABASE rows OWNER plimsoll");
        let owner = Session::open(&cluster.url());
        owner.run(include_str!("../../sql/schema.sql"));
        owner.run(include_str!("../../sql/seed.sql"));
        cluster
    }

    /// Mends what tests break on purpose, in case one of them ended half-way.
    fn make_whole(&self) {
        let admin = self.administer("postgres");
        admin.run("ALTER SYSTEM RESET default_transaction_read_only");
        admin.run("SELECT pg_reload_conf(); SET default_transaction_read_only = off");
        admin.run("ALTER ROLE plimsoll PASSWORD 'secret' CONNECTION LIMIT -1");
        let rename = "ALTER DATABASE away RENAME TO rows";
        if admin.number("SELECT count(*) FROM pg_database WHERE datname = 'away'") == 1 {
            admin.run(rename);
        }
        let owner = self.administer("rows");
        owner.run("SET default_transaction_read_only = off");
        owner.run("ALTER TABLE IF EXISTS world_away RENAME TO world");
    }

    /// A connection string for the ordinary user, over TCP.
    pub(crate) fn url(&self) -> String {
        Self::url_through(self.port)
    }

    /// The same by way of another port, such as a forwarder's.
    pub(crate) fn url_through(port: u16) -> String {
        format!("postgres://plimsoll:secret@127.0.0.1:{port}/rows?sslmode=disable")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A session as superuser, which needs no password.
    pub(crate) fn administer(&self, database: &str) -> Session {
        Session::open(&self.admin_url(database))
    }

    fn admin_url(&self, database: &str) -> String {
        format!("host={} port={} user=postgres dbname={database}", self.folder.display(), self.port)
    }

    /// The `randomnumber` of every row of `world`, by id.
    pub(crate) fn world_numbers(&self) -> HashMap<i32, i32> {
        let rows = self.administer("rows").rows("SELECT id, randomnumber FROM world", &[]);
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Has it started; waits for nothing.
    pub(crate) fn launch(&self) {
        let mut lifeline = self.lifeline.as_ref().expect("a watcher that listens");
        lifeline.write_all(b"start\n").expect("the watcher to hear");
    }

    /// Waits until a plain connection is let in; says since when.
    pub(crate) fn wait_until_accepting(&self) -> Instant {
        let url = self.admin_url("postgres");
        wait_until("PostgreSQL to let a connection in", PATIENCE, || {
            Session::try_open(&url).ok().map(|_| Instant::now())
        })
    }

    fn postmaster(&self) -> Option<u32> {
        let text = fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// The postmaster and all that it started.
    fn processes(&self) -> Vec<u32> {
        let postmaster = self.postmaster().expect("a running PostgreSQL");
        std::iter::once(postmaster).chain(children_of(postmaster)).collect()
    }

    /// Signals the postmaster, and waits until it and all that it started are gone.
    pub(crate) fn end(&self, by: Signal) {
        let processes = self.processes();
        signal(processes[0], by);
        wait_until("all of PostgreSQL's processes to be gone", PATIENCE, || {
            (!processes.iter().any(|pid| is_alive(*pid))).then_some(())
        });
    }

    /// Kills one process that serves the ordinary user; PostgreSQL ends all others and recovers by itself.
    pub(crate) fn kill_a_backend(&self) {
        let admin = self.administer("postgres");
        let query =
            "SELECT pid FROM pg_stat_activity WHERE datname = 'rows' AND usename = 'plimsoll' LIMIT 1";
        let pid: i32 = admin.rows(query, &[])[0].get(0);
        let all = children_of(self.postmaster().expect("a running PostgreSQL"));
        signal(u32::try_from(pid).expect("a process id"), Signal::KILL);
        wait_until("PostgreSQL to end all its processes", PATIENCE, || {
            (!all.iter().any(|pid| is_alive(*pid))).then_some(())
        });
    }

    /// Stops all its processes where they are; the kernel goes on taking connections and bytes for them.
    pub(crate) fn hang(&self) -> Hung {
        let hung = Hung { processes: self.processes() };
        hung.processes.iter().for_each(|pid| signal(*pid, Signal::STOP));
        hung
    }
}

impl Drop for MortalCluster {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.watcher.wait();
    }
}

/// Processes that are stopped, until it is dropped.
pub(crate) struct Hung {
    processes: Vec<u32>,
}

impl Drop for Hung {
    fn drop(&mut self) {
        self.processes.iter().for_each(|pid| signal(*pid, Signal::CONT));
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    // One that is gone by now is what most signals are for.
    let _ = kill_process(pid, signal);
}
