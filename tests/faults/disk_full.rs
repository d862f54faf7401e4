//! No room left on the disk of the private PostgreSQL.
//!
//! **Invariant:** the disk is the test's own, in memory; it goes with the test, also where that panics or is killed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::figure;
use crate::harness::{Client, DataDirectory, PATIENCE, ServerSetup, Session, TestServer, wait_until};

/// A cluster of PostgreSQL 15 with its tables takes 42 MiB; 18's some more.
const DISK_MIB: u32 = 192;

/// The disk and a service on it; none where this user may not mount one, which is said.
fn start() -> Option<(DataDirectory, TestServer)> {
    let Some(disk) = DataDirectory::on_small_disk(DISK_MIB) else {
        assert!(!rustix::process::geteuid().is_root(), "root cannot mount a file system in memory here");
        println!("left out: only root can mount a disk of the test's own");
        return None;
    };
    let server = ServerSetup::serve().arg("--data-dir").arg(disk.path()).start();
    Some((disk, server))
}

/// What fills the disk up, until it is dropped.
struct Ballast(PathBuf);

impl Ballast {
    /// Leaves so many bytes free, or as good as none.
    fn fill(disk: &DataDirectory, leave: u64) -> Self {
        let path = disk.path().join("ballast");
        let mut file = File::create(&path).expect("a file to fill the disk with");
        let room = |path: &Path| {
            let found = rustix::fs::statvfs(path).expect("a look at the disk");
            found.f_bavail * found.f_frsize
        };
        let chunk = [0; 4096];
        while room(&path) > leave && file.write_all(&chunk).is_ok() {}
        Self(path)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Where a superuser gets at the cluster.
fn address(disk: &DataDirectory) -> String {
    format!("host='{}' user=postgres dbname=hello_world", disk.path().join("run").display())
}

fn wait_for_status(client: &mut Client, target: &str, status: u16, limit: Duration) -> Duration {
    let began = Instant::now();
    wait_until(&format!("{status} for {target}"), limit, || {
        (client.get(target).status == status).then_some(())
    });
    began.elapsed()
}

const READS: [&str; 4] = ["/db", "/queries?queries=20", "/fortunes", "/cached-queries?count=5"];

#[test]
fn on_a_full_disk_reads_go_on_writes_are_503_and_come_back_with_the_room() {
    let Some((disk, server)) = start() else { return };
    let mut client = server.connect();
    assert_eq!(client.get("/updates?queries=20").status, 200);
    let mut back = Vec::new();
    for _ in 0..2 {
        let ballast = Ballast::fill(&disk, 0);
        wait_for_status(&mut client, "/updates?queries=20", 503, Duration::from_secs(5));
        for target in READS.iter().cycle().take(100) {
            assert_eq!(client.get(target).status, 200, "{target}:\n{}", server.stderr());
        }
        let refused = client.get("/updates");
        assert_eq!(refused.status, 503);
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        drop(ballast);
        back.push(wait_for_status(&mut client, "/updates?queries=20", 200, Duration::from_secs(1)));
    }
    let log = server.stderr();
    let lines =
        log.lines().filter(|line| line.contains("the disk of the private PostgreSQL is full")).count();
    assert_eq!(lines, 2, "one for each time:\n{log}");
    assert!(log.contains("Free 48 MiB"), "the mend:\n{log}");
    assert!(!log.contains("died"), "PostgreSQL never went:\n{log}");
    figure("disk full", format!("100 of 100 reads answered, writes back {back:.0?} after the room"));
}

#[test]
#[ignore = "a minute: make faults"]
fn a_table_that_cannot_grow_is_503_for_writes_alone() {
    let Some((disk, server)) = start() else { return };
    let mut client = server.connect();
    // Nothing that is read by this snapshot may be cleared away, so that each update needs new room.
    let admin = Session::open(&address(&disk));
    admin.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM world");
    let other = Session::open(&address(&disk));
    // The service's own caution is in the way of this fault: sessions of its user write all the same.
    other.run("ALTER ROLE benchmarkdbuser SET default_transaction_read_only = off");
    other.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'benchmarkdbuser'");
    wait_for_status(&mut client, "/updates", 200, Duration::from_secs(5));
    let ballast = Ballast::fill(&disk, 0);
    wait_until("the table to be unable to grow", PATIENCE, || {
        (client.get("/updates?queries=500").status == 503).then_some(())
    });
    server.wait_for_line("line that names the mend", |line| {
        (line.contains("53100") && line.contains("free space")).then_some(())
    });
    for target in READS {
        assert_eq!(client.get(target).status, 200, "{target}:\n{}", server.stderr());
    }
    drop(ballast);
    let back = wait_for_status(&mut client, "/updates?queries=500", 200, Duration::from_secs(1));
    admin.run("ROLLBACK");
    figure(
        "disk full, a table that cannot grow",
        format!("reads answered, writes back {back:.0?} after the room"),
    );
}

#[test]
#[ignore = "a minute: make faults"]
fn a_postgresql_that_cannot_write_its_log_comes_back_with_the_room() {
    let Some((disk, server)) = start() else { return };
    let mut client = server.connect();
    assert_eq!(client.get("/updates").status, 200);
    let ballast = Ballast::fill(&disk, 0);
    // Whoever writes past the end of the log's last file, which only a superuser can still bring about, ends PostgreSQL.
    let admin = Session::open(&address(&disk));
    admin.run("SET default_transaction_read_only = off");
    let _ = admin.try_run("SELECT pg_switch_wal()");
    let _ = admin.try_run("UPDATE world SET randomnumber = 1 WHERE id = 1");
    wait_for_status(&mut client, "/db", 503, PATIENCE);
    server.wait_for_lines("the private PostgreSQL does not start again", 1);
    for _ in 0..20 {
        assert_eq!(client.get("/json").status, 200);
        assert_eq!(client.get("/db").status, 503);
    }
    drop(ballast);
    let freed = Instant::now();
    wait_until("PostgreSQL to accept", PATIENCE, || Session::try_open(&address(&disk)).ok());
    let accepting = Instant::now();
    wait_for_status(&mut client, "/updates", 200, Duration::from_secs(1));
    let said = format!(
        "PostgreSQL accepts {:.2?} after the room, writes {:.0?} later",
        accepting - freed,
        accepting.elapsed()
    );
    figure("disk full, the write-ahead log cannot grow", said);
}
