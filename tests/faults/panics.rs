//! Panics of the service's own code, made by `/lab/panic`: in a handler, in a connection's task, in a worker.
//!
//! **Invariant:** each test knows from the service's own counters that there was a panic, and how many.

use std::time::{Duration, Instant};

use plimsoll::telemetry::labels::{CloseReason, Route, StatusClass};

use super::figure;
use crate::harness::{Client, PATIENCE, ServerSetup, TestServer, request, unused_port, wait_until};
use crate::telemetry::status;

/// How soon a worker that panicked has another in its place, and all that waited for it is answered.
const BACK: Duration = Duration::from_secs(1);

fn lab(words: &[&str]) -> ServerSetup {
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    ServerSetup::of(&["serve", "--port", "0", "--lab"]).args(words).env("DATABASE_URL", url)
}

/// Makes a panic on a connection of its own, which it costs.
fn panic_in(server: &TestServer, place: &str) {
    let mut client = server.connect();
    client.send(request("GET", &format!("/lab/panic?in={place}")));
    client.expect_close();
}

fn lines_with(server: &TestServer, words: &str) -> usize {
    server.stderr().lines().filter(|line| line.contains(words)).count()
}

#[test]
fn a_panic_in_a_handler_is_500_and_what_is_pipelined_around_it_is_answered_in_order() {
    let server = lab(&["--workers", "1"]).start();
    let mut client = server.connect();
    let panic = request("GET", "/lab/panic?in=handler");
    let (json, plaintext) = (request("GET", "/json"), request("GET", "/plaintext"));
    client.send([&json[..], &panic, &plaintext, &panic, &panic, &json].concat());
    for expected in [200, 500, 200, 500, 500, 200] {
        let response = client.receive();
        assert_eq!(response.status, expected, "{response:?}");
        assert!(!response.announces_close(), "{response:?}");
    }
    assert_eq!(client.get("/json").status, 200, "the connection goes on");
    let totals = status(&server).totals;
    assert_eq!(totals.panics, 3);
    assert_eq!(totals.answered[Route::Lab][StatusClass::ServerError], 3);
    assert_eq!((totals.begun, totals.requests(), totals.abandoned), (7, 7, 0));
    assert!(server.stderr().contains("worker-0 panicked at src/http/lab/panic.rs:"), "{}", server.stderr());
}

#[test]
fn a_handler_that_panics_for_every_request_fills_no_log() {
    let server = lab(&["--workers", "1"]).start();
    let mut client = server.connect();
    let start = Instant::now();
    for _ in 0..20 {
        client.send(request("GET", "/lab/panic?in=handler").repeat(50));
        for _ in 0..50 {
            assert_eq!(client.receive().status, 500);
        }
    }
    assert_eq!(status(&server).totals.panics, 1_000);
    let (lines, seconds) = (lines_with(&server, "panicked"), start.elapsed().as_secs());
    assert!(
        (1..=seconds + 1).contains(&(lines as u64)),
        "{lines} lines in {seconds} s:\n{}",
        server.stderr()
    );
    assert_eq!(lines_with(&server, "is gone"), 0, "the worker goes on");
    figure(
        "panic in a handler, 1 000 times",
        format_args!("1 000 answers 500, {lines} log lines in {seconds} s"),
    );
}

#[test]
fn a_panic_in_a_connections_task_costs_that_connection_alone() {
    let server = lab(&["--workers", "2"]).start();
    let mut neighbours: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for client in &mut neighbours {
        assert_eq!(client.get("/json").status, 200);
    }
    for _ in 0..3 {
        panic_in(&server, "connection");
    }
    for client in &mut neighbours {
        assert_eq!(client.get("/json").status, 200);
    }
    let totals = wait_until("the connections to be counted out", PATIENCE, || {
        Some(status(&server).totals).filter(|totals| totals.closed[CloseReason::Panicked] == 3)
    });
    assert_eq!(totals.panics, 3);
    assert_eq!(lines_with(&server, "is gone"), 0, "{}", server.stderr());
}

#[test]
fn a_worker_that_panics_is_started_again_and_the_others_serve_on() {
    let mut worst = Duration::ZERO;
    for accept in ["reuseport", "shared", "handoff"] {
        let mut server = lab(&["--workers", "2", "--accept", accept, "--drain-grace", "100ms"]).start();
        let mut clients: Vec<Client> = (0..24).map(|_| server.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.get("/json").status, 200);
        }
        let start = Instant::now();
        panic_in(&server, "worker");
        let mut newcomers: Vec<Client> = (0..24).map(|_| server.connect()).collect();
        for client in &mut newcomers {
            assert_eq!(client.get("/json").status, 200, "{accept}");
        }
        worst = worst.max(start.elapsed());
        assert!(start.elapsed() < BACK, "{accept}: after {:?}", start.elapsed());
        server.wait_for_lines("is gone: a task of its own panicked; starting another", 1);
        server.wait_for_lines("serves again", 1);
        let left = clients.iter_mut().filter(|client| !client.arrived()).count();
        // Among listeners of their own the kernel spreads them by a hash, and an acceptor does evenly; a shared one may give all to one.
        assert!(accept == "shared" || (1..24).contains(&left), "{accept}: {left} of 24 are left");
        for client in clients.iter_mut().filter(|client| !client.arrived()) {
            assert_eq!(client.get("/json").status, 200, "{accept}: the other worker's connections");
        }
        let seen = status(&server);
        assert_eq!(seen.totals.panics, 1, "{accept}");
        let closed: u64 = seen.totals.closed.values().sum();
        assert_eq!(
            seen.totals.accepted - closed,
            24 + left as u64,
            "{accept}: nothing is counted as open that is not"
        );
        assert_eq!(server.stop().code, Some(0), "{}", server.stderr());
    }
    figure("panic of a worker", format_args!("24 newcomers answered within {worst:?} of it, at the most"));
}

#[test]
fn connections_that_come_while_the_only_worker_is_gone_wait_for_the_next() {
    for accept in ["reuseport", "handoff"] {
        let mut server = lab(&["--workers", "1", "--accept", accept, "--drain-grace", "300ms"]).start();
        for _ in 0..4 {
            panic_in(&server, "worker");
            let mut client = server.connect();
            assert_eq!(client.get("/json").status, 200, "{accept}");
        }
        // The first is started again at once, those after it ever later.
        assert!(lines_with(&server, "starting another in 100ms") == 1, "{}", server.stderr());
        panic_in(&server, "worker");
        let mut client = server.connect();
        client.send(request("GET", "/json"));
        server.wait_for_lines("is gone", 5);
        assert_eq!(server.stop().code, Some(0), "{accept}: {}", server.stderr());
        assert_eq!(
            client.receive().status,
            200,
            "{accept}: what waits in its backlog is answered in a stop too"
        );
    }
}

#[test]
fn of_several_processes_the_one_whose_worker_panics_lives_on() {
    let server = lab(&["--processes", "2", "--workers", "1"]).start();
    let children = server.children(2);
    panic_in(&server, "worker");
    for _ in 0..8 {
        assert_eq!(server.connect().get("/json").status, 200);
    }
    server.wait_for_lines("worker 0 serves again", 1);
    assert_eq!(server.children(2), children);
}
