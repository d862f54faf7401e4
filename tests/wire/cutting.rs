//! Bytes that arrive in pieces, cut where nobody would cut them.
//!
//! **Invariant:** where a test expects an answer before it sends on, that answer must not wait for the rest.

use crate::harness::{TestDatabase, TestServer, request, worlds};

#[test]
fn a_next_request_cut_at_every_byte_does_not_hold_up_the_first_answer() {
    let server = TestServer::without_database();
    let first = request("GET", "/plaintext");
    let second = request("GET", "/json");
    for cut in 0..=second.len() {
        let mut client = server.connect();
        client.send([&first[..], &second[..cut]].concat());
        assert_eq!(client.receive().text(), "Hello, World!", "cut at {cut}");
        client.send(&second[cut..]);
        assert_eq!(client.receive().text(), r#"{"message":"Hello, World!"}"#, "cut at {cut}");
        assert!(!client.has_more());
    }
}

#[test]
fn a_next_request_cut_at_every_byte_does_not_hold_up_an_answer_from_the_database() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let first = request("GET", "/queries?queries=2");
    let second = request("GET", "/db");
    let mut client = server.connect();
    for cut in 1..second.len() {
        client.send([&first[..], &second[..cut]].concat());
        assert_eq!(worlds(&client.receive()).len(), 2, "cut at {cut}");
        client.send(&second[cut..]);
        assert!(client.receive().json()["id"].is_number(), "cut at {cut}");
    }
}

#[test]
fn a_request_cut_at_every_byte_on_one_connection_is_answered() {
    let server = TestServer::without_database();
    let bytes = request("GET", "/json");
    let mut client = server.connect();
    for cut in 1..bytes.len() {
        client.send(&bytes[..cut]);
        client.send(&bytes[cut..]);
        assert_eq!(client.receive().status, 200, "cut at {cut}");
    }
}

#[test]
fn a_request_sent_byte_by_byte_is_answered() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    for _ in 0..5 {
        for byte in request("GET", "/plaintext") {
            client.send([byte]);
        }
        assert_eq!(client.receive().text(), "Hello, World!");
    }
}

#[test]
fn a_next_request_cut_at_every_byte_survives_parking() {
    let server = TestServer::without_database();
    let first = request("GET", "/plaintext");
    let second = request("GET", "/json");
    let mut clients = Vec::new();
    for cut in 0..second.len() {
        let mut client = server.connect();
        client.send([&first[..], &second[..cut]].concat());
        assert_eq!(client.receive().text(), "Hello, World!", "cut at {cut}");
        clients.push((cut, client));
    }
    // The one whose next request has not begun gives up its buffers; the others hold a part of a head and must not.
    server.wait_until_parked(1);
    for (cut, mut client) in clients {
        client.send(&second[cut..]);
        assert_eq!(client.receive().text(), r#"{"message":"Hello, World!"}"#, "cut at {cut}");
    }
}

#[test]
fn a_client_that_half_closes_still_gets_its_answers() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    for target in ["/plaintext", "/db", "/queries?queries=500", "/updates?queries=20", "/fortunes"] {
        let mut client = server.connect();
        client.send(request("GET", target));
        client.half_close();
        let response = client.receive();
        assert_eq!(response.status, 200, "{target}: {response:?}");
        client.expect_close();
    }
    let mut client = server.connect();
    client.send(request("GET", "/db").repeat(16));
    client.half_close();
    for number in 0..16 {
        assert_eq!(client.receive().status, 200, "pipelined answer {number}");
    }
    client.expect_close();
}

#[test]
fn a_client_that_goes_away_mid_request_harms_nobody() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    for number in 0..200 {
        let mut client = server.connect();
        let bytes = request("GET", "/updates?queries=20");
        client.send(if number % 2 == 0 { &bytes[..number % bytes.len()] } else { &bytes[..] });
    }
    let mut client = server.connect();
    for _ in 0..20 {
        assert_eq!(worlds(&client.get("/updates?queries=20")).len(), 20);
    }
}
