//! HTTP/1.0, and the other forms that a request target takes.
//!
//! **Invariant:** a connection stays open exactly when both sides said so.

use crate::harness::{TestDatabase, TestServer};

#[test]
fn http_1_0_is_answered_and_closed() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    for target in ["/json", "/db", "/nothing"] {
        let mut client = server.connect();
        client.send(format!("GET {target} HTTP/1.0\r\n\r\n"));
        let response = client.receive();
        assert_eq!(response.status, if target == "/nothing" { 404 } else { 200 }, "{target}: {response:?}");
        assert!(response.content_length().is_some());
        client.expect_close();
    }
}

#[test]
fn http_1_0_with_keep_alive_stays_open() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    for _ in 0..3 {
        client.send("GET /plaintext HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let response = client.receive();
        assert_eq!(response.text(), "Hello, World!");
        // Without this word a 1.0 client waits for the close.
        let connection = response.header("connection").unwrap_or_default();
        assert!(connection.eq_ignore_ascii_case("keep-alive"), "{response:?}");
    }
}

#[test]
fn an_absolute_target_is_answered_as_its_path() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    for (target, status) in [
        ("http://plimsoll.test/json", 200),
        ("http://other.example:81/json?queries=3", 200),
        ("http://plimsoll.test/nothing", 404),
        ("http://plimsoll.test", 404),
    ] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: plimsoll.test\r\n\r\n"));
        assert_eq!(client.receive().status, status, "{target}");
    }
}

#[test]
fn header_names_and_the_connection_option_are_read_in_any_case() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    client.send("GET /json HTTP/1.1\r\nhOsT: a\r\nCONNECTION: Close\r\n\r\n");
    assert!(client.receive().announces_close());
    client.expect_close();
}

#[test]
fn an_unknown_http_version_is_refused() {
    let server = TestServer::without_database();
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/1.2", "http/1.1"] {
        let mut client = server.connect();
        let _ = client.try_send(format!("GET /json {version}\r\nHost: a\r\n\r\n"));
        if let Ok(response) = client.try_receive() {
            assert!([400, 505].contains(&response.status), "{version}: {response:?}");
            client.expect_close();
        }
    }
}
