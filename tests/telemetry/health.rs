//! `/healthz`, `/readyz`, and `plimsoll health`, which asks the latter.
//!
//! **Invariant:** a service that runs is alive, whatever it lacks; it is ready only with all that a request needs.

use rustix::process::Signal;

use super::by_socket;
use crate::harness::{
    Forwarder, PATIENCE, ServerSetup, TestDatabase, TestServer, request, unused_port, wait_until,
};

/// Waits until it says so.
fn wait_for_ready(server: &TestServer, status: u16, word: &str) {
    wait_until(&format!("/readyz to answer {status} with {word:?}"), PATIENCE, || {
        let answer = by_socket(server, "GET", "/readyz");
        (answer.status == status && answer.text().contains(word)).then_some(())
    });
}

#[test]
fn without_a_database_it_is_alive_and_not_ready() {
    let server = TestServer::without_database();
    assert_eq!(by_socket(&server, "GET", "/healthz").status, 200);
    let ready = by_socket(&server, "GET", "/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.text().starts_with("the database is not reached: "), "{}", ready.text());
}

#[test]
fn it_is_ready_while_the_database_is_there_whether_or_not_anybody_asks_for_it() {
    let database = TestDatabase::create();
    let mut forwarder = Forwarder::start();
    let server = ServerSetup::with_url(&database.url_through(forwarder.port())).start();
    assert_eq!(by_socket(&server, "GET", "/readyz").status, 200, "before the first request");
    forwarder.cut();
    wait_for_ready(&server, 503, "the database");
    forwarder.restore();
    wait_for_ready(&server, 200, "ready");
    assert_eq!(server.connect().get("/db").status, 200);
    forwarder.cut();
    wait_for_ready(&server, 503, "the database");
    forwarder.restore();
    wait_for_ready(&server, 200, "ready");
}

#[test]
fn it_is_not_ready_when_all_places_are_taken() {
    let database = TestDatabase::create();
    let server = ServerSetup::with_database(&database).args(&["--max-connections", "2"]).start();
    let clients = [server.connect(), server.connect()];
    wait_for_ready(&server, 503, "--max-connections");
    drop(clients);
    wait_for_ready(&server, 200, "ready");
}

#[test]
fn while_it_stops_it_is_alive_and_not_ready() {
    let database = TestDatabase::create();
    let mut server = ServerSetup::with_database(&database)
        .args(&["--lab", "--drain-grace", "20s", "--drain-deadline", "25s"])
        .start();
    let mut client = server.connect();
    assert_eq!(client.get("/json").status, 200);
    server.signal(Signal::TERM);
    wait_for_ready(&server, 503, "it is stopping");
    assert_eq!(by_socket(&server, "GET", "/healthz").status, 200);
    client.send(request("GET", "/json"));
    assert_eq!(client.receive().header("connection"), Some("close"));
    drop(client);
    assert_eq!(server.wait(PATIENCE).code, Some(0));
    assert!(!server.admin_socket().exists(), "the socket goes with the service");
}

#[test]
fn health_is_0_where_the_service_is_ready_and_1_where_it_is_not_or_nobody_is_there() {
    let database = TestDatabase::create();
    let mut ready = ServerSetup::with_database(&database).env("PLIMSOLL_ADMIN", "127.0.0.1:0").start();
    let by_socket =
        |server: &TestServer| ServerSetup::of(&["health", "--admin-socket"]).arg(server.admin_socket()).run();
    let address = ready.admin_address().to_string();
    assert_eq!(by_socket(&ready).code, Some(0));
    assert_eq!(ServerSetup::of(&["health", "--admin", &address]).run().code, Some(0));
    let fails = by_socket(&TestServer::without_database());
    assert_eq!(fails.code, Some(1));
    assert!(fails.stderr.contains("not ready (503): the database"), "{}", fails.stderr);
    ready.stop();
    let gone = by_socket(&ready);
    assert_eq!(gone.code, Some(1));
    assert!(gone.stderr.contains("Is it running?"), "{}", gone.stderr);
    let nobody = format!("127.0.0.1:{}", unused_port());
    assert_eq!(ServerSetup::of(&["health", "--admin", &nobody]).run().code, Some(1));
}
