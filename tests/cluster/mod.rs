//! More than one of something, as real processes: servers with real replication, nodes behind a balancer, poolers, members that take over.
//!
//! What takes long is ignored by `cargo test` and run by `make cluster-test`, one test after the other, beside everything else of this folder.
//! docs/replicas.md says what is promised. What a test needs and does not find fails it, with the package to install.
//!
//! **Invariant:** where a row came from is told from the row itself: what is written on the primary while a standby's replay is paused
//! stands on the primary alone.

mod age;
mod failover;
mod haproxy;
mod lag;
mod loss;
mod manifests;
mod patroni;
mod pgbouncer;
mod shown;
mod sides;

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::harness::{
    Client, Cluster, PATIENCE, ServerSetup, Session, Standby, TestServer, wait_until, worlds,
};

/// The ways in which requests use database connections.
const WAYS: [&[&str]; 3] =
    [&["--dispatch", "pipelined"], &["--dispatch", "exclusive"], &["--driver", "direct"]];

/// Says what came of a test, as a line that `make cluster-test` keeps: `figure | what was done | what was measured`.
fn figure(done: &str, measured: impl Display) {
    println!("figure | {done} | {measured}");
}

/// A primary with the service's tables.
fn primary() -> Cluster {
    let primary = Cluster::start(60);
    primary.make_rows();
    primary
}

/// The same with one standby that follows it.
pub(crate) fn pair() -> (Cluster, Standby) {
    let primary = primary();
    let standby = Standby::of(&primary);
    wait_until_followed(&primary, 1);
    (primary, standby)
}

fn wait_until_followed(primary: &Cluster, standbys: i64) {
    let admin = primary.administer("postgres");
    wait_until("the standbys to follow", PATIENCE, || {
        (admin.number("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == standbys)
            .then_some(())
    });
}

/// An address that names these servers.
fn url(ports: &[u16], parameters: &str) -> String {
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("postgres://plimsoll:secret@{}/rows?sslmode=disable{parameters}", hosts.join(","))
}

/// The service, which writes to the first and reads from the others.
pub(crate) fn serve(primary: u16, replicas: &[u16], parameters: &str) -> ServerSetup {
    ServerSetup::with_url(&url(&[primary], "")).env("DATABASE_READ_URL", url(replicas, parameters))
}

/// Gives every row on this server the same number.
pub(crate) fn mark(admin: &Session, number: i32) {
    admin.run(&format!("UPDATE world SET randomnumber = {number}"));
}

/// The same, and waits until the standby has it too.
pub(crate) fn mark_both(admin: &Session, standby: &Standby, number: i32) {
    mark(admin, number);
    let other = standby.administer("rows");
    wait_until("the replay", PATIENCE, || {
        let marked = format!("SELECT count(*) FROM world WHERE randomnumber = {number}");
        (other.number(&marked) == 10_000).then_some(())
    });
}

/// The number that all rows have that one request reads; none where some were read before a mark was set, and some after.
fn read_mark(client: &mut Client) -> Option<i32> {
    let response = client.get("/queries?queries=20");
    assert_eq!(response.status, 200, "{response:?}");
    let rows = worlds(&response);
    rows.iter().all(|row| row.1 == rows[0].1).then_some(rows[0].1)
}

/// Waits until rows with this number are read.
fn wait_for_mark(what: &str, client: &mut Client, number: i32) {
    wait_until(what, PATIENCE, || (read_mark(client) == Some(number)).then_some(()));
}

/// The service's sessions on a server.
fn sessions(admin: &Session) -> i64 {
    admin.number("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'plimsoll'")
}

/// How many lines of the log hold these words.
fn said(server: &TestServer, words: &str) -> usize {
    server.stderr().lines().filter(|line| line.contains(words)).count()
}

/// Clients that read without a pause until they are told to end.
struct Readers {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<(Instant, u16)>>>,
}

impl Readers {
    fn start(address: SocketAddr, targets: &'static [&'static str], clients: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let reader = || {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                let (mut client, mut seen) = (Client::connect(address), Vec::new());
                for target in targets.iter().cycle() {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    seen.push((Instant::now(), client.get(target).status));
                    thread::park_timeout(Duration::from_millis(1));
                }
                seen
            })
        };
        let threads = (0..clients).map(|_| reader()).collect();
        Self { is_over, threads }
    }

    /// Ends them; panics unless every answer was 200. Gives how many there were.
    fn end_all_served(self, server: &TestServer) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        let seen: Vec<(Instant, u16)> =
            self.threads.into_iter().flat_map(|thread| thread.join().expect("a reader")).collect();
        let refused = seen.iter().filter(|(_, status)| *status != 200).count();
        assert_eq!(refused, 0, "of {} reads {refused} failed:\n{}", seen.len(), server.stderr());
        seen.len()
    }
}
