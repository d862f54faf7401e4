//! HTTP/1.0; other versions, and what stands in a request line besides, are in [`super::framing`].
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
