//! PostgreSQL goes away, is not there yet, hangs, or refuses.
//!
//! **Invariant:** a promise of time is held against what was measured, up to three times where other programs may have had the cores;
//! every answer to every client is checked each time.

mod absent;
mod crowd;
mod hung;
mod refusals;
mod restarts;

use std::time::{Duration, Instant};

use crate::harness::{MortalCluster, PATIENCE, ServerSetup, TestServer, wait_until};
use crate::telemetry::by_socket;
use crowd::Crowd;

/// The ways in which requests use database connections.
const WAYS: [&[&str]; 3] =
    [&["--dispatch", "pipelined"], &["--dispatch", "exclusive"], &["--driver", "direct"]];

/// Within this time of PostgreSQL's letting a connection in, all routes answer again.
const BACK_WITHIN: Duration = Duration::from_secs(1);

/// How much longer than its deadline a request may take.
const SLACK: Duration = Duration::from_millis(100);

/// Two workers on the cluster.
fn serve(cluster: &MortalCluster, way: &[&str]) -> ServerSetup {
    ServerSetup::with_url(&cluster.url()).args(way)
}

/// Two processes of one worker each.
fn serve_by_two(cluster: &MortalCluster) -> ServerSetup {
    ServerSetup::of(&["serve", "--port", "0", "--processes", "2", "--workers", "1"])
        .env("DATABASE_URL", cluster.url())
}

/// Waits until every client is answered with rows; how long after `since` the last one was.
fn recovery(crowd: &Crowd, since: Instant) -> Duration {
    let served = wait_until("rows for every client", PATIENCE, || crowd.all_served());
    served.saturating_duration_since(since)
}

/// Waits until so many more requests than now were refused.
fn wait_for_refusals(crowd: &Crowd, count: usize) {
    let before = crowd.refused();
    wait_until("requests to be refused", PATIENCE, || (crowd.refused() >= before + count).then_some(()));
}

/// Waits until `/readyz` answers so, with this word.
fn wait_for_ready(server: &TestServer, status: u16, word: &str) {
    let began = Instant::now();
    loop {
        let answer = by_socket(server, "GET", "/readyz");
        if answer.status == status && answer.text().contains(word) {
            return;
        }
        let said = server.stderr();
        assert!(
            began.elapsed() < PATIENCE,
            "{} {:?}, not {status} with {word:?}; the log:\n{said}",
            answer.status,
            answer.text()
        );
    }
}

/// The lines that the service has logged since its banner about what it knows of the database.
fn lines(server: &TestServer) -> Vec<String> {
    let log = server.stderr();
    let of_the_log = log.lines().filter(|line| line.contains(" WARN ") || line.contains(" INFO "));
    of_the_log.map(str::to_owned).collect()
}

/// How many of them hold these words.
fn count(server: &TestServer, words: &str) -> usize {
    lines(server).iter().filter(|line| line.contains(words)).count()
}

/// Of times, the one in the middle and the longest, in milliseconds.
fn middle_and_worst(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    format!("{} ms in the middle, {} ms at worst", middle.as_millis(), worst.as_millis())
}
