//! Idle connections lose their buffers and nothing else.
//!
//! **Invariant:** a test knows that a connection is parked before it goes on.

use std::time::{Duration, Instant};

use plimsoll::config::admin::Place;
use plimsoll::telemetry::ask::ask;

use crate::harness::{Client, PATIENCE, ServerSetup, TestDatabase, TestServer, request, wait_until};

fn parking(park_after: &str) -> TestServer {
    ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none").args(&["--park-after", park_after]).start()
}

fn is_closed(server: &TestServer, clients: &[Client]) -> Option<()> {
    (clients.iter().all(Client::arrived) && server.parked() == 0).then_some(())
}

#[test]
fn a_connection_is_parked_until_its_first_byte_and_again_when_it_is_idle() {
    let server = parking("50ms");
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    server.wait_until_parked(20);
    for round in 0..3 {
        for client in &mut clients {
            assert_eq!(client.get("/json").status, 200, "round {round}");
        }
        server.wait_until_parked(20);
    }
    drop(clients);
    server.wait_until_parked(0);
}

#[test]
fn a_parked_connection_hears_a_request_cut_at_every_byte() {
    let server = parking("1ms");
    let bytes = request("GET", "/json");
    let mut clients: Vec<Client> = (0..bytes.len()).map(|_| server.connect()).collect();
    for round in ["new", "served"] {
        server.wait_until_parked(clients.len());
        for (cut, client) in clients.iter_mut().enumerate() {
            client.send(&bytes[..cut]);
        }
        // All but the one that has sent nothing wake up, and are not parked on half a head.
        server.wait_until_parked(1);
        for (cut, client) in clients.iter_mut().enumerate() {
            client.send(&bytes[cut..]);
            assert_eq!(client.receive().text(), r#"{"message":"Hello, World!"}"#, "{round}, cut at {cut}");
        }
    }
    server.wait_until_parked(clients.len());
}

#[test]
fn a_parked_connection_takes_a_whole_pipeline() {
    let database = TestDatabase::create();
    let server = ServerSetup::with_database(&database).args(&["--park-after", "1ms"]).start();
    let mut client = server.connect();
    for round in 0..3 {
        server.wait_until_parked(1);
        client.send([request("GET", "/db"), request("GET", "/plaintext")].concat().repeat(50));
        for _ in 0..50 {
            assert!(client.receive().json()["id"].is_number(), "round {round}");
            assert_eq!(client.receive().text(), "Hello, World!", "round {round}");
        }
    }
}

#[test]
fn a_request_that_takes_long_is_not_parked() {
    let database = TestDatabase::create();
    let forwarder = crate::harness::Forwarder::start();
    let server = ServerSetup::with_url(&database.url_through(forwarder.port()))
        .args(&["--park-after", "1ms", "--idle-timeout", "400ms", "--request-deadline", "30s"])
        .start();
    let mut client = server.connect();
    assert_eq!(client.get("/db").status, 200);
    server.wait_until_parked(1);
    forwarder.hang();
    client.send(request("GET", "/db"));
    server.wait_until_parked(0);
    client.expect_silence(Duration::from_secs(1));
    assert_eq!(server.parked(), 0);
    let mut forwarder = forwarder;
    forwarder.restore();
    assert_eq!(client.receive().status, 200);
    assert_eq!(client.get("/json").status, 200, "a whole idle time is given after the answer");
}

#[test]
fn a_parked_connection_is_closed_when_its_idle_time_is_over() {
    let server = ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none")
        .args(&["--park-after", "1ms", "--idle-timeout", "700ms"])
        .start();
    let start = Instant::now();
    let mut clients: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    for client in &mut clients[..5] {
        assert_eq!(client.get("/json").status, 200);
    }
    server.wait_until_parked(10);
    wait_until("all to be closed", Duration::from_secs(10), || is_closed(&server, &clients));
    assert!(start.elapsed() >= Duration::from_millis(700), "closed after {:?}", start.elapsed());
}

#[test]
fn clients_that_leave_while_parked_take_their_descriptors_along() {
    let server = parking("1ms");
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).map_or(0, Iterator::count);
    // The admin side has its descriptors only a moment after the banner.
    let admin = Place::Socket(server.admin_socket());
    wait_until("the admin side to answer", PATIENCE, || ask(&admin, "GET", "/healthz").ok());
    let before = descriptors();
    for _ in 0..3 {
        let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
        for client in &mut clients[..25] {
            assert_eq!(client.get("/json").status, 200);
        }
        server.wait_until_parked(50);
        for client in &clients[..10] {
            client.half_close();
        }
        drop(clients);
        wait_until("the descriptors to be given back", Duration::from_secs(10), || {
            (descriptors() <= before).then_some(())
        });
    }
}

#[test]
fn in_a_stop_parked_connections_are_answered_until_the_grace_is_over() {
    let mut server = ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none")
        .args(&["--park-after", "1ms", "--drain-grace", "2s", "--drain-deadline", "10s"])
        .start();
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    server.wait_until_parked(20);
    server.signal(rustix::process::Signal::TERM);
    wait_until("the listeners to be closed", Duration::from_secs(10), || {
        server.stderr().contains("stopping").then_some(())
    });
    for client in &mut clients[..10] {
        let answer = client.get("/json");
        assert_eq!(answer.status, 200);
        client.expect_close();
    }
    for client in &mut clients[10..] {
        client.expect_close();
    }
    assert_eq!(server.wait(Duration::from_secs(20)).code, Some(0));
}
