//! What workers count, against what `plimsoll load` counted, and what a test did to PostgreSQL.
//!
//! **Invariant:** every comparison is exact, and made once nothing is under way.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use plimsoll::telemetry::labels::{CloseReason, DatabaseFailure, Route, StatusClass};
use plimsoll::telemetry::status::Status;
use serde_json::Value;

use super::{by_socket, status};
use crate::harness::{
    Forwarder, PATIENCE, ServerSetup, TestDatabase, TestServer, get, request, request_with, wait_until,
};

/// The ways in which requests use database connections.
const WAYS: [&[&str]; 3] =
    [&["--dispatch", "pipelined"], &["--dispatch", "exclusive"], &["--driver", "direct"]];

fn one_worker(url: &str, way: &[&str]) -> ServerSetup {
    ServerSetup::of(&["serve", "--port", "0", "--workers", "1"]).env("DATABASE_URL", url).args(way)
}

/// Waits until all connections have ended, and gives what is counted then.
fn at_rest(server: &TestServer) -> Status {
    wait_until("all connections have ended", PATIENCE, || {
        let status = status(server);
        (status.now.open == 0 && status.now.in_flight == 0).then_some(status)
    })
}

/// Runs `load` for so many requests.
fn load(server: &TestServer, requests: &str, words: &[&str]) -> Value {
    let url = format!("http://{}", server.address());
    let finished = ServerSetup::of(&["load", "--json", "-n", requests]).args(words).args(&[&url]).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

fn number(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {report}"))
}

#[test]
fn totals_are_what_the_load_generator_counted_by_route_and_by_status() {
    let database = TestDatabase::create();
    for way in WAYS {
        let server = ServerSetup::with_database(&database).args(way).start();
        let paths = ["--path", "/db=3", "--path", "/json=2", "--path", "/fortunes", "--path", "/none"];
        let report = load(&server, "1400", &[["-t1", "-c16"].as_slice(), &paths].concat());
        let totals = at_rest(&server).totals;
        let of = |route: Route, class: StatusClass| totals.answered[route][class];
        assert_eq!(of(Route::Db, StatusClass::Successful), 600, "{way:?}: {totals:?}");
        assert_eq!(of(Route::Json, StatusClass::Successful), 400);
        assert_eq!(of(Route::Fortunes, StatusClass::Successful), 200);
        assert_eq!(of(Route::Other, StatusClass::ClientError), 200);
        assert_eq!(totals.requests_of(StatusClass::Successful), number(&report, "/statuses/200"));
        assert_eq!((totals.requests(), totals.begun, totals.abandoned), (1_400, 1_400, 0));
        assert_eq!(totals.request_time.count(), number(&report, "/latency_us/raw/count"));
        assert_eq!((totals.pool_wait.count(), totals.database_time.count()), (800, 800), "{way:?}");
        assert!(totals.database_time.sum() < totals.request_time.sum(), "{way:?}");
        // One more than asked for: it looks whether anybody listens before it begins.
        assert_eq!((totals.accepted, totals.closed[CloseReason::Client]), (17, 17));
        assert_eq!(totals.closed.values().sum::<u64>(), 17);
        assert!(totals.cpu_ns > 0 && totals.busy_ns > 0);
    }
}

#[test]
fn totals_of_three_processes_are_what_the_load_generator_counted() {
    let database = TestDatabase::create();
    let server = ServerSetup::of(&["serve", "--port", "0", "--processes", "3", "--workers", "1"])
        .env("DATABASE_URL", database.url())
        .start();
    load(&server, "1200", &["-t1", "-c24", "--path", "/db", "--path", "/json=2"]);
    let status = at_rest(&server);
    assert_eq!(status.processes.len(), 3);
    assert_eq!(status.totals.answered[Route::Db][StatusClass::Successful], 400);
    assert_eq!(status.totals.answered[Route::Json][StatusClass::Successful], 800);
    assert_eq!(status.totals.requests(), 1_200);
    assert_eq!(status.totals.accepted, status.totals.closed[CloseReason::Client]);
}

#[test]
fn pipelined_requests_are_counted_and_timed_one_by_one() {
    let server = TestServer::without_database();
    load(&server, "800", &["-t1", "-c2", "--pipeline", "16", "--path", "/plaintext"]);
    let totals = at_rest(&server).totals;
    assert_eq!(totals.answered[Route::Plaintext][StatusClass::Successful], 800);
    assert_eq!(totals.request_time.count(), 800);
}

#[test]
fn bytes_are_those_on_the_wire() {
    let server = TestServer::without_database();
    let asked = request_with("GET", "/fortunes", &["Connection: close"]);
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(&asked).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    let totals = at_rest(&server).totals;
    assert_eq!((totals.bytes_in, totals.bytes_out), (asked.len() as u64, answer.len() as u64));
}

#[test]
fn connections_that_were_lost_are_counted_when_they_are_opened_again() {
    for way in WAYS {
        let database = TestDatabase::create();
        let mut forwarder = Forwarder::start();
        let server = one_worker(&database.url_through(forwarder.port()), way)
            .args(&["--pool-per-core", "1", "--database-max-conn", "1"])
            .start();
        assert_eq!(get(&server, "/db").status, 200);
        let before = status(&server);
        assert_eq!((before.totals.reconnects, before.now.pool.size, before.now.pool.available), (0, 1, 1));
        forwarder.cut();
        wait_until("the loss is noticed", PATIENCE, || (get(&server, "/db").status == 503).then_some(()));
        forwarder.restore();
        wait_until("it is reached again", PATIENCE, || (get(&server, "/db").status == 200).then_some(()));
        let after = status(&server);
        assert_eq!(after.totals.reconnects, 1, "{way:?}: {after:?}");
        let failures: u64 = after.totals.database_failures.values().sum();
        assert_eq!(failures, after.totals.answered[Route::Db][StatusClass::ServerError], "{way:?}");
        assert!(failures > 0);
        assert_eq!((after.now.pool.size, after.now.pool.available, after.now.pool.waiting), (1, 1, 0));
    }
}

#[test]
fn what_is_in_flight_and_what_waits_shows_while_postgresql_is_silent() {
    for way in WAYS {
        let database = TestDatabase::create();
        let forwarder = Forwarder::start();
        let server = one_worker(&database.url_through(forwarder.port()), way)
            .args(&["--database-max-conn", "1", "--request-deadline", "2s"])
            .start();
        assert_eq!(get(&server, "/db").status, 200);
        forwarder.hang();
        let mut clients: Vec<_> = (0..5).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(request("GET", "/db"));
        }
        let exclusive = way.contains(&"exclusive");
        let pool = wait_until("all five are under way", PATIENCE, || {
            let now = status(&server).now;
            let seen = now.pool.lanes.iter().sum::<u32>() + now.pool.waiting;
            (now.in_flight == 5 && seen == 5).then_some(now.pool)
        });
        let expected = if exclusive { (1, 4) } else { (5, 0) };
        assert_eq!((pool.lanes[0], pool.waiting), expected, "{way:?}: {pool:?}");
        assert_eq!((pool.size, pool.available, pool.in_use()), (1, 0, 1), "{way:?}");
        for client in &mut clients {
            assert_eq!(client.receive().status, 503);
        }
        drop(clients);
        let after = at_rest(&server);
        assert_eq!(after.totals.database_failures[DatabaseFailure::Deadline], 5, "{way:?}: {after:?}");
        assert!(after.now.pool.lanes.iter().all(|in_flight| *in_flight == 0), "{way:?}: {after:?}");
        assert_eq!(after.now.pool.waiting, 0);
    }
}

#[test]
fn what_waits_behind_a_pause_shows_as_waiting_and_its_wait_is_measured() {
    let database = TestDatabase::create();
    for way in WAYS {
        let server = one_worker(&database.url(), way).start();
        assert_eq!(get(&server, "/db").status, 200);
        let before = status(&server).totals;
        assert_eq!(by_socket(&server, "POST", "/pool/pause").status, 200);
        let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(request("GET", "/db"));
        }
        wait_until("three wait", PATIENCE, || (status(&server).now.pool.waiting == 3).then_some(()));
        assert_eq!(by_socket(&server, "POST", "/pool/resume").status, 200);
        for client in &mut clients {
            assert_eq!(client.receive().status, 200);
        }
        let since = status(&server).totals.since(&before);
        assert_eq!((since.pool_wait.count(), since.database_time.count()), (3, 3));
        assert!(since.pool_wait.sum() > Duration::ZERO, "{way:?}: {since:?}");
    }
}
