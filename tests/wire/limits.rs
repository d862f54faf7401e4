//! Sizes: the largest that is served, and one byte more.
//!
//! **Invariant:** the numbers are the README's and the contract's, not the code's.

use crate::harness::{ServerSetup, TestServer, unused_port};

const REQUEST_LINE: usize = 8_192;
const HEAD: usize = 16_384;

/// One server as it is by default, and one with a route that takes bodies.
fn servers() -> [TestServer; 2] {
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    [TestServer::without_database(), ServerSetup::with_url(&url).arg("--lab").start()]
}

/// What a head is answered with, sent whole and in two pieces; a refusal closes.
fn expect(server: &TestServer, head: &str, status: u16) {
    for cut in [head.len(), head.len() / 2, head.len() - 1] {
        let mut client = server.connect();
        let _ = client.try_send(&head[..cut]);
        let _ = client.try_send(&head[cut..]);
        let response = client.receive();
        assert_eq!(response.status, status, "{} bytes, cut at {cut}: {response:?}", head.len());
        if status == 200 {
            assert_eq!(client.get("/plaintext").status, 200);
        } else {
            client.expect_close();
        }
    }
}

#[test]
fn a_request_line_of_8_kib_is_served_and_one_byte_more_is_414() {
    let of_length = |length: usize| {
        let rest = "GET /json? HTTP/1.1\r\n".len();
        format!("GET /json?{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length - rest))
    };
    for server in servers() {
        expect(&server, &of_length(REQUEST_LINE), 200);
        expect(&server, &of_length(REQUEST_LINE + 1), 414);
    }
}

#[test]
fn a_head_of_16_kib_is_served_and_one_byte_more_is_431() {
    let of_length = |length: usize| {
        let rest = "GET /json HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET /json HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(length - rest))
    };
    for server in servers() {
        expect(&server, &of_length(HEAD), 200);
        expect(&server, &of_length(HEAD + 1), 431);
        // Blank lines before it count towards it.
        expect(&server, &format!("\r\n{}", of_length(HEAD - 2)), 200);
        expect(&server, &format!("\r\n{}", of_length(HEAD - 1)), 431);
    }
}
