//! Several processes: one admin side for all of them, and totals that outlive each.
//!
//! **Invariant:** what was counted once stays in the sum, however the process that counted it ends.

use std::collections::BTreeSet;

use plimsoll::telemetry::labels::{CloseReason, Route, StatusClass};
use plimsoll::telemetry::status::Status;
use rustix::process::Signal;

use super::{by_socket, status};
use crate::harness::processes::signal;
use crate::harness::{Client, PATIENCE, ServerSetup, TestDatabase, TestServer, request, wait_until};

const PROCESSES: usize = 3;

fn setup(database: &TestDatabase) -> ServerSetup {
    ServerSetup::of(&["serve", "--port", "0", "--processes", "3", "--workers", "1"])
        .env("DATABASE_URL", database.url())
}

/// Each of so many clients asks for a row, and stays.
fn ask(server: &TestServer, clients: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..clients).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/db").status, 200);
    }
    clients
}

fn answered(status: &Status) -> u64 {
    status.totals.answered[Route::Db][StatusClass::Successful]
}

fn pids(status: &Status) -> BTreeSet<u32> {
    status.processes.iter().map(|process| process.pid).collect()
}

#[test]
fn totals_are_exact_over_all_processes_and_each_is_shown() {
    let database = TestDatabase::create();
    let server = setup(&database).start();
    let children: BTreeSet<u32> = server.children(PROCESSES).into_iter().collect();
    let clients = ask(&server, 60);
    let seen = status(&server);
    assert_eq!((answered(&seen), seen.totals.accepted, seen.now.open), (60, 60, 60));
    assert_eq!((pids(&seen), seen.service.pid, seen.ready), (children, server.pid(), true));
    let of_each: Vec<u64> = seen.processes.iter().map(|process| process.workers[0].requests).collect();
    assert_eq!(of_each.iter().sum::<u64>(), 60, "{of_each:?}");
    assert_eq!(seen.processes.iter().map(|process| process.index).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(seen.processes.iter().all(|process| !process.silent && process.resident_bytes.is_some()));
    let listing = by_socket(&server, "GET", "/connections.json?rows=100").text();
    let listing: plimsoll::telemetry::listing::Listing = serde_json::from_str(&listing).unwrap();
    assert_eq!((listing.count, listing.rows.len(), listing.silent_workers), (60, 60, 0));
    let rows: BTreeSet<u32> = listing.rows.iter().map(|row| row.pid).collect();
    assert!(rows.is_subset(&pids(&seen)));
    drop(clients);
}

#[test]
fn a_reload_loses_no_count() {
    let database = TestDatabase::create();
    let server = setup(&database).start();
    let before = server.children(PROCESSES);
    drop(ask(&server, 30));
    server.signal(Signal::HUP);
    server.wait_for_lines("reload: done", 1);
    let after = status(&server);
    assert!(before.iter().all(|pid| !pids(&after).contains(pid)), "{before:?} are gone");
    assert_eq!((answered(&after), after.totals.accepted, after.now.open), (30, 30, 0));
    assert_eq!(after.totals.closed.values().sum::<u64>(), 30);
    assert_eq!(after.totals.request_time.count(), 30);
    drop(ask(&server, 10));
    assert_eq!(answered(&status(&server)), 40);
}

#[test]
fn after_a_kill_nothing_that_was_shown_is_less() {
    let database = TestDatabase::create();
    let server = setup(&database).start();
    let clients = ask(&server, 30);
    let mut last = status(&server);
    assert_eq!(answered(&last), 30);
    for round in 1..=3 {
        let killed = last.processes[0].pid;
        signal(killed, Signal::KILL);
        wait_until("another process to be shown in its place", PATIENCE, || {
            let now = status(&server);
            assert!(answered(&now) >= answered(&last), "{} after {}", answered(&now), answered(&last));
            assert!(now.totals.accepted >= last.totals.accepted);
            last = now;
            (last.processes.len() == PROCESSES && !pids(&last).contains(&killed)).then_some(())
        });
        assert_eq!(answered(&last), 30, "round {round}");
        let closed: u64 = last.totals.closed.values().sum();
        assert_eq!(last.totals.accepted, last.now.open + closed, "round {round}");
    }
    drop(clients);
}

#[test]
fn what_a_killed_process_had_under_way_is_under_way_no_longer() {
    let database = TestDatabase::create();
    let server = setup(&database).args(&["--request-deadline", "60s"]).start();
    assert_eq!(by_socket(&server, "POST", "/pool/pause").status, 200);
    let mut clients: Vec<Client> = (0..60).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(request("GET", "/db"));
    }
    let before = wait_until("all of them to be on their way", PATIENCE, || {
        let seen = status(&server);
        (seen.now.in_flight == 60).then_some(seen)
    });
    let killed = before.processes[0].pid;
    signal(killed, Signal::KILL);
    let after = wait_until("another process in its place", PATIENCE, || {
        let seen = status(&server);
        (seen.processes.len() == PROCESSES && !pids(&seen).contains(&killed)).then_some(seen)
    });
    assert!(after.now.open < 60, "{after:?}");
    assert_eq!((after.now.in_flight, after.totals.abandoned), (after.now.open, 60 - after.now.open));
    assert_eq!(after.totals.closed[CloseReason::Drain], 60 - after.now.open);
}

#[test]
fn a_process_that_does_not_answer_is_not_waited_for_and_its_counts_stay() {
    let database = TestDatabase::create();
    let server = setup(&database).start();
    drop(ask(&server, 30));
    let before = status(&server);
    let stopped = before.processes[1].pid;
    signal(stopped, Signal::STOP);
    let meanwhile = status(&server);
    let silent: Vec<u32> =
        meanwhile.processes.iter().filter(|process| process.silent).map(|process| process.pid).collect();
    assert_eq!((silent, answered(&meanwhile)), (vec![stopped], 30));
    assert_eq!(by_socket(&server, "GET", "/healthz").status, 200);
    signal(stopped, Signal::CONT);
    wait_until("it to answer again", PATIENCE, || {
        status(&server).processes.iter().all(|process| !process.silent).then_some(())
    });
    assert_eq!(answered(&status(&server)), 30);
}

#[test]
fn while_no_process_answers_it_is_not_ready() {
    let database = TestDatabase::create();
    let server = setup(&database).start();
    let ready = |status: u16, word: &str| {
        wait_until(word, PATIENCE, || {
            let answer = by_socket(&server, "GET", "/readyz");
            (answer.status == status && answer.text().contains(word)).then_some(())
        });
    };
    ready(200, "it is ready");
    let pids = pids(&status(&server));
    for pid in &pids {
        signal(*pid, Signal::STOP);
    }
    ready(503, "no process answers");
    assert_eq!(by_socket(&server, "GET", "/healthz").status, 200);
    for pid in &pids {
        signal(*pid, Signal::CONT);
    }
    ready(200, "it is ready");
}

#[test]
fn while_all_stop_it_is_not_ready_and_still_counts() {
    let database = TestDatabase::create();
    let mut server = setup(&database).args(&["--drain-grace", "20s", "--drain-deadline", "25s"]).start();
    let mut clients = ask(&server, 6);
    server.signal(Signal::TERM);
    wait_until("it to say that it is stopping", PATIENCE, || {
        let answer = by_socket(&server, "GET", "/readyz");
        (answer.status == 503 && answer.text().contains("it is stopping")).then_some(())
    });
    let draining = status(&server);
    assert_eq!(answered(&draining), 6);
    assert!(draining.processes.iter().all(|process| process.draining));
    for client in &mut clients {
        client.send(request("GET", "/db"));
        assert_eq!(client.receive().header("connection"), Some("close"));
    }
    drop(clients);
    assert_eq!(server.wait(PATIENCE).code, Some(0));
    assert!(!server.admin_socket().exists());
}
