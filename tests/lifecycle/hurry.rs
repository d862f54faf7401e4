//! A stop that shall not wait.
//!
//! **Invariant:** the drain that is cut short would otherwise last a minute, so that a quick end has one reason.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::wait_until_refused;
use crate::harness::{
    Client, Forwarder, PATIENCE, ServerSetup, TestDatabase, TestServer, request, wait_until,
};

/// A service with a request that hangs, and a drain that would wait for it.
fn busy(database: &TestDatabase, forwarder: &Forwarder) -> (TestServer, Client) {
    let server = ServerSetup::with_url(&database.url_through(forwarder.port()))
        .args(&["--request-deadline", "60s", "--drain-grace", "60s", "--drain-deadline", "60s"])
        .start();
    let mut client = server.connect();
    wait_until("the first row", PATIENCE, || (client.get("/db").status == 200).then_some(()));
    forwarder.hang();
    client.send(request("GET", "/db"));
    client.expect_silence(Duration::from_millis(100));
    (server, client)
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let database = TestDatabase::create();
    for (first, second) in
        [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::INT), (Signal::TERM, Signal::INT)]
    {
        let forwarder = Forwarder::start();
        let (mut server, _client) = busy(&database, &forwarder);
        server.signal(first);
        wait_until_refused(server.address());
        let start = Instant::now();
        server.signal(second);
        server.wait(Duration::from_secs(10));
        assert!(start.elapsed() < Duration::from_millis(1500), "{second:?}: {:?}", start.elapsed());
    }
}

#[test]
fn sigquit_ends_at_once() {
    let database = TestDatabase::create();
    let forwarder = Forwarder::start();
    let (mut server, _client) = busy(&database, &forwarder);
    let start = Instant::now();
    server.signal(Signal::QUIT);
    server.wait(Duration::from_secs(10));
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
}

#[test]
fn sigquit_ends_a_drain_at_once() {
    let database = TestDatabase::create();
    let forwarder = Forwarder::start();
    let (mut server, _client) = busy(&database, &forwarder);
    server.signal(Signal::TERM);
    wait_until_refused(server.address());
    let start = Instant::now();
    server.signal(Signal::QUIT);
    server.wait(Duration::from_secs(10));
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
}

#[test]
fn a_signal_before_the_database_is_reached_ends_with_0() {
    let database = TestDatabase::create();
    let forwarder = Forwarder::start();
    forwarder.hang();
    let mut server = ServerSetup::with_url(&database.url_through(forwarder.port())).start();
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(Duration::from_secs(10)).code, Some(0));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn a_second_start_on_the_same_port_serves_right_after_the_first_ended() {
    let database = TestDatabase::create();
    let port = crate::harness::unused_port().to_string();
    for _ in 0..3 {
        let setup = ServerSetup::of(&["serve", "--port", &port, "--workers", "2"])
            .env("DATABASE_URL", database.url());
        let mut server = setup.start();
        // Connections that the server closes leave the port in TIME_WAIT.
        let mut client = server.connect();
        assert_eq!(client.get("/db").status, 200);
        assert_eq!(server.stop().code, Some(0));
    }
}
