//! Many requests on one connection before the first answer.
//!
//! **Invariant:** answers come in the order of the requests, one for each, and nothing behind the last.

use std::thread;
use std::time::Duration;

use crate::harness::{TestDatabase, TestServer, answers_at_once, request, request_with, worlds};

#[test]
fn plaintext_16_deep_is_answered_in_order() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    for _ in 0..100 {
        client.send(request("GET", "/plaintext").repeat(16));
        for _ in 0..16 {
            assert_eq!(client.receive().text(), "Hello, World!");
        }
        assert!(!client.has_more());
    }
}

#[test]
fn mixed_routes_pipelined_are_answered_in_order() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    let mut bytes = Vec::new();
    for count in 1..=20 {
        // Slow before fast: an answer that overtakes shows at once.
        for target in
            [format!("/updates?queries={count}"), "/plaintext".into(), format!("/queries?queries={count}")]
        {
            bytes.extend(request("GET", &target));
        }
        bytes.extend(request("GET", "/fortunes"));
        bytes.extend(request("POST", "/json"));
        bytes.extend(request("GET", "/nothing"));
    }
    client.send(&bytes);
    for count in 1..=20 {
        assert_eq!(worlds(&client.receive()).len(), count);
        assert_eq!(client.receive().text(), "Hello, World!");
        assert_eq!(worlds(&client.receive()).len(), count);
        assert!(client.receive().text().contains("Additional fortune"));
        assert_eq!(client.receive().status, 405);
        assert_eq!(client.receive().status, 404);
    }
    client.expect_silence(Duration::from_millis(50));
}

#[test]
fn a_head_between_gets_keeps_the_order() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    client.send(
        [request("GET", "/plaintext"), request("HEAD", "/json"), request("GET", "/plaintext")].concat(),
    );
    assert_eq!(client.receive().text(), "Hello, World!");
    assert_eq!(client.receive_without_body().content_length(), Some(27));
    assert_eq!(client.receive().text(), "Hello, World!");
}

#[test]
fn ten_thousand_requests_whose_answers_nobody_reads_at_first_are_all_answered() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    let mut writer = client.writer();
    let bytes = request("GET", "/fortunes").repeat(2_000);
    let sent = thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes));
    // Meanwhile the others are served: one client's unread answers hold up nobody else.
    for _ in 0..20 {
        assert_eq!(server.connect().get("/db").status, 200);
    }
    for number in 0..2_000 {
        assert_eq!(client.receive().status, 200, "answer {number}");
    }
    sent.join().unwrap().unwrap();
}

#[test]
fn a_connection_serves_thousands_of_requests_one_after_the_other() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    for number in 0..2_000 {
        let target = ["/json", "/db", "/plaintext", "/queries?queries=2"][number % 4];
        let response = client.get(target);
        assert_eq!(response.status, 200, "{target}: {response:?}");
        assert!(!response.announces_close(), "request {number} closes: {response:?}");
    }
}

#[test]
fn a_request_that_says_close_is_the_last() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    client.send(
        [
            request("GET", "/json"),
            request_with("GET", "/plaintext", &["Connection: close"]),
            request("GET", "/json"),
        ]
        .concat(),
    );
    assert!(!client.receive().announces_close());
    let last = client.receive();
    assert_eq!(last.text(), "Hello, World!");
    assert!(last.announces_close(), "{last:?}");
    client.expect_close();
}

#[test]
fn five_hundred_connections_at_once_are_all_answered() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let targets: Vec<String> = ["/json", "/plaintext", "/db", "/fortunes"]
        .iter()
        .cycle()
        .take(500)
        .map(|one| (*one).to_owned())
        .collect();
    assert!(answers_at_once(&server, &targets).iter().all(|response| response.status == 200));
}
