//! A real PostgreSQL for the tests: one for the whole test process, or one of a test's own.
//!
//! **Invariant:** a cluster never outlives the tests. The test runner has no exit hook, so each cluster stands under
//! a shell that reads from a pipe which only this process holds: when the pipe closes, for whatever reason, the
//! shell ends PostgreSQL and removes its files.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::OnceLock;

use super::binaries::{command_for_postgres, find_directory, unprivileged_user};
use super::database::{Session, make_template};
use super::patience::{PATIENCE, wait_until};
use super::ports::unused_port;

/// `$1` the folder of the programs, `$2` the cluster's, the rest settings.
const WATCHER: &str = r#"
programs=$1 folder=$2; shift 2
if "$programs/initdb" --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync -D "$folder/data" \
    >"$folder/log" 2>&1 </dev/null
then "$programs/postgres" -D "$folder/data" "$@" >>"$folder/log" 2>&1 </dev/null & server=$!
else echo "FATAL: no cluster" >>"$folder/log"
fi
read -r _
if [ -n "$server" ]; then kill -QUIT "$server" 2>/dev/null; wait "$server"; fi
rm -rf "$folder"
"#;

/// A running PostgreSQL.
pub(crate) struct Cluster {
    folder: PathBuf,
    port: u16,
    watcher: Child,
    lifeline: Option<ChildStdin>,
}

impl Cluster {
    /// The one that all tests share, started on first use and seeded.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| {
            let cluster = Self::start(300);
            make_template(&cluster);
            cluster
        })
    }

    /// One of a test's own, with this `max_connections` and no tables; it ends when dropped.
    pub(crate) fn start(max_connections: u32) -> Self {
        loop {
            let folder = make_folder();
            let cluster = Self::launch(&folder, unused_port(), max_connections);
            let log = wait_until("PostgreSQL to start", PATIENCE, || {
                let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
                (log.contains("ready to accept connections") || log.contains("FATAL")).then_some(log)
            });
            if !log.contains("FATAL") {
                return cluster;
            }
            // Somebody may have taken the port in between; anything else is worth reading.
            assert!(log.contains("could not bind"), "PostgreSQL did not start:\n{log}");
        }
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where its Unix socket lies; others than the tests' users may not look into it.
    pub(crate) fn socket_directory(&self) -> &Path {
        &self.folder
    }

    /// A connection string for the ordinary user of the tests.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://plimsoll:secret@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// A session as superuser.
    pub(crate) fn administer(&self, database: &str) -> Session {
        Session::open(&format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port))
    }

    /// The tests' ordinary user, and a database `rows` of theirs with the service's tables.
    pub(crate) fn make_rows(&self) {
        let admin = self.administer("postgres");
        admin.run("CREATE ROLE plimsoll LOGIN PASSWORD 'secret'");
        admin.run("CREATE DATABASE rows OWNER plimsoll");
        let owner = Session::open(&self.url("rows"));
        owner.run(include_str!("../../sql/schema.sql"));
        owner.run(include_str!("../../sql/seed.sql"));
    }

    fn launch(folder: &Path, port: u16, max_connections: u32) -> Self {
        let settings = [
            format!("port={port}"),
            format!("max_connections={max_connections}"),
            format!("unix_socket_directories={}", folder.display()),
            "listen_addresses=127.0.0.1".to_owned(),
            "shared_preload_libraries=pg_stat_statements".to_owned(),
            "pg_stat_statements.max=20000".to_owned(),
            // Nothing here is worth a disk's time, and a test's counts want no reads but the server's.
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
            "synchronous_commit=off".to_owned(),
            "autovacuum=off".to_owned(),
        ];
        let mut command = command_for_postgres("/bin/sh");
        command.args(["-c", WATCHER, "plimsoll-test-postgres"]).arg(find_directory()).arg(folder);
        for setting in settings {
            command.args(["-c", &setting]);
        }
        // A group of its own: an interrupt from the terminal must not take the watcher before its watch is over.
        let mut watcher =
            command.process_group(0).stdin(Stdio::piped()).spawn().expect("a shell for PostgreSQL's watcher");
        let lifeline = watcher.stdin.take();
        Self { folder: folder.to_path_buf(), port, watcher, lifeline }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.watcher.wait();
    }
}

/// An empty folder for a cluster; the watcher removes it.
pub(super) fn make_folder() -> PathBuf {
    let folder =
        tempfile::Builder::new().prefix("plimsoll-test-").tempdir().expect("a temporary folder").keep();
    if let Some((uid, gid)) = unprivileged_user() {
        chown(&folder, Some(uid), Some(gid)).expect("the cluster's folder handed to its user");
    }
    folder
}

#[test]
fn a_dropped_cluster_leaves_no_process_and_no_file() {
    let cluster = Cluster::start(10);
    let (folder, port) = (cluster.folder.clone(), cluster.port());
    assert_eq!(cluster.administer("postgres").number("SELECT 1::int8"), 1);
    drop(cluster);
    assert!(!folder.exists(), "{}", folder.display());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}
