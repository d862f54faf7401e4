//! A stop with connections open and nothing in a hurry.
//!
//! **Invariant:** idle connections get their grace, the next answer says `Connection: close`, and the exit code is 0.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::wait_until_refused;
use crate::harness::{Client, Forwarder, ServerSetup, TestDatabase, TestServer, expect_within, request};

const SIGNALS: [Signal; 2] = [Signal::TERM, Signal::INT];

#[test]
fn a_service_without_clients_ends_at_once_with_0() {
    let database = TestDatabase::create();
    for signal in SIGNALS {
        let mut server = TestServer::on(&database);
        let start = Instant::now();
        server.signal(signal);
        assert_eq!(server.wait(Duration::from_secs(10)).code, Some(0));
        assert!(start.elapsed() < Duration::from_secs(3), "{signal:?}: {:?}", start.elapsed());
    }
}

#[test]
fn a_service_that_never_reached_its_database_ends_with_0_too() {
    for signal in SIGNALS {
        let mut server = TestServer::without_database();
        server.connect().get("/db");
        server.signal(signal);
        assert_eq!(server.wait(Duration::from_secs(10)).code, Some(0));
    }
}

#[test]
fn the_next_request_on_an_idle_connection_is_answered_with_connection_close() {
    let database = TestDatabase::create();
    for signal in SIGNALS {
        let mut server = TestServer::on(&database);
        let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
        // Half have been used, half are fresh.
        for client in clients.iter_mut().skip(10) {
            assert!(!client.get("/db").announces_close());
        }
        server.signal(signal);
        wait_until_refused(server.address());
        for (client, target) in
            clients.iter_mut().zip(["/db", "/json", "/fortunes", "/updates?queries=2"].iter().cycle())
        {
            let response = client.get(target);
            assert_eq!(response.status, 200, "{target}: {response:?}");
            assert!(response.announces_close(), "{target}: {response:?}");
            client.expect_close();
        }
        assert_eq!(server.wait(Duration::from_secs(10)).code, Some(0));
    }
}

#[test]
fn refusals_during_a_drain_are_answered_and_closed_too() {
    let mut server = TestServer::without_database();
    let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    server.signal(Signal::TERM);
    wait_until_refused(server.address());
    for (client, (method, target, status)) in clients.iter_mut().zip([
        ("GET", "/nothing", 404),
        ("POST", "/json", 405),
        ("GET", "/db", 503),
        ("OPTIONS", "/db", 200),
    ]) {
        let response = client.ask(method, target, &[]);
        assert!(response.status == status || response.status == 204, "{method} {target}: {response:?}");
        assert!(response.announces_close(), "{method} {target}: {response:?}");
        client.expect_close();
    }
    assert_eq!(server.wait(Duration::from_secs(10)).code, Some(0));
}

#[test]
fn idle_connections_are_closed_without_a_byte_after_the_grace() {
    let mut server =
        ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none").args(&["--drain-grace", "700ms"]).start();
    let mut used = server.connect();
    assert_eq!(used.get("/json").status, 200);
    let mut fresh = server.connect();
    let start = Instant::now();
    server.signal(Signal::TERM);
    used.expect_silence(Duration::from_millis(400));
    fresh.expect_silence(Duration::from_millis(100));
    used.expect_close_within(Duration::from_secs(5));
    fresh.expect_close_within(Duration::from_secs(5));
    assert!(start.elapsed() >= Duration::from_millis(650), "closed after {:?}", start.elapsed());
    assert_eq!(server.wait(Duration::from_secs(10)).code, Some(0));
    assert!(start.elapsed() < Duration::from_secs(3), "ended after {:?}", start.elapsed());
}

#[test]
fn pipelined_requests_are_all_answered_in_a_drain() {
    let database = TestDatabase::create();
    let mut server = TestServer::on(&database);
    let mut clients: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(request("GET", "/queries?queries=20").repeat(16));
    }
    server.signal(Signal::TERM);
    for client in &mut clients {
        for number in 0..16 {
            assert_eq!(client.receive().status, 200, "answer {number}");
        }
    }
    assert_eq!(server.wait(Duration::from_secs(10)).code, Some(0));
}

#[test]
fn half_a_request_is_answered_when_its_rest_comes_within_the_grace() {
    let mut server = TestServer::without_database();
    let mut client = server.connect();
    let bytes = request("GET", "/json");
    client.send(&bytes[..20]);
    server.signal(Signal::TERM);
    wait_until_refused(server.address());
    client.send(&bytes[20..]);
    let response = client.receive();
    assert_eq!(response.status, 200);
    assert!(response.announces_close(), "{response:?}");
    assert_eq!(server.wait(Duration::from_secs(10)).code, Some(0));
}

#[test]
fn what_runs_is_finished_until_the_deadline() {
    let database = TestDatabase::create();
    let mut forwarder = Forwarder::start();
    let mut server = ServerSetup::with_url(&database.url_through(forwarder.port()))
        .args(&["--request-deadline", "20s", "--drain-grace", "100ms", "--drain-deadline", "20s"])
        .start();
    let mut client = server.connect();
    assert_eq!(client.get("/db").status, 200);
    forwarder.hang();
    client.send(request("GET", "/db"));
    client.expect_silence(Duration::from_millis(100));
    server.signal(Signal::TERM);
    wait_until_refused(server.address());
    // Well past the grace, which is for idle connections only.
    client.expect_silence(Duration::from_millis(500));
    forwarder.restore();
    let response = client.receive();
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.announces_close(), "{response:?}");
    assert_eq!(server.wait(Duration::from_secs(5)).code, Some(0));
}

#[test]
fn a_request_sent_behind_one_that_runs_is_answered_in_a_drain_too() {
    let database = TestDatabase::create();
    let mut forwarder = Forwarder::start();
    let mut server = ServerSetup::with_url(&database.url_through(forwarder.port()))
        .args(&["--request-deadline", "20s", "--drain-deadline", "20s"])
        .start();
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    forwarder.hang();
    for client in &mut clients {
        client.send(request("GET", "/db"));
        client.expect_silence(Duration::from_millis(100));
    }
    server.signal(Signal::TERM);
    wait_until_refused(server.address());
    // The first request is read long since; these lie in the kernel until it is answered. One is not whole yet.
    let (second, third) = (request("GET", "/json"), request("GET", "/plaintext"));
    clients[0].send(&second);
    clients[1].send([&second[..], &third].concat());
    clients[2].send(&second[..20]);
    clients[2].expect_silence(Duration::from_millis(100));
    forwarder.restore();
    for (client, answers) in clients.iter_mut().zip([2, 3, 1]) {
        for number in 1..=answers {
            let response = client.receive();
            assert_eq!(response.status, 200, "answer {number} of {answers}: {response:?}");
            assert_eq!(
                response.announces_close(),
                number == answers && answers > 1,
                "answer {number} of {answers}"
            );
        }
    }
    clients[2].send(&second[20..]);
    assert!(clients[2].receive().announces_close());
    clients.iter_mut().for_each(Client::expect_close);
    assert_eq!(server.wait(Duration::from_secs(10)).code, Some(0));
}

#[test]
fn what_still_runs_at_the_deadline_is_cut_off() {
    let database = TestDatabase::create();
    let forwarder = Forwarder::start();
    let mut server = ServerSetup::with_url(&database.url_through(forwarder.port()))
        .args(&["--request-deadline", "60s", "--drain-grace", "200ms", "--drain-deadline", "600ms"])
        .start();
    let mut client = server.connect();
    assert_eq!(client.get("/db").status, 200);
    forwarder.hang();
    client.send(request("GET", "/db"));
    client.expect_silence(Duration::from_millis(100));
    let start = Instant::now();
    server.signal(Signal::TERM);
    server.wait(Duration::from_secs(10));
    let took = start.elapsed();
    assert!((Duration::from_millis(550)..Duration::from_secs(2)).contains(&took), "ended after {took:?}");
}

#[test]
fn the_default_drain_fits_into_two_seconds_whatever_hangs() {
    let database = TestDatabase::create();
    expect_within("the default drain", Duration::from_secs(2), || {
        let forwarder = Forwarder::start();
        let mut server = ServerSetup::with_url(&database.url_through(forwarder.port())).start();
        let mut waiting = server.connect();
        assert_eq!(waiting.get("/db").status, 200);
        let (mut idle, mut half) = (server.connect(), server.connect());
        assert_eq!(idle.get("/json").status, 200);
        forwarder.hang();
        waiting.send(request("GET", "/updates?queries=20"));
        half.send("GET /json HT");
        waiting.expect_silence(Duration::from_millis(100));
        let start = Instant::now();
        server.signal(Signal::TERM);
        server.wait(Duration::from_secs(10));
        start.elapsed()
    });
}

#[test]
fn sighup_does_not_end_the_service() {
    let mut server = TestServer::without_database();
    let mut client = server.connect();
    for _ in 0..3 {
        server.signal(Signal::HUP);
        assert_eq!(client.get("/json").status, 200);
        assert_eq!(server.connect().get("/json").status, 200);
    }
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn the_database_connections_are_closed_in_a_stop() {
    let database = TestDatabase::create();
    let mut server = TestServer::on(&database);
    assert_eq!(server.connect().get("/db").status, 200);
    assert_eq!(server.stop().code, Some(0));
    assert_eq!(database.deadlocks(), 0, "which waits until no connection is left");
}
