//! "Everything else a client can send": requests that are refused for their size, wherever they are cut, and behind good ones. What is
//! refused for how it is written stands in `wire::framing`.
//!
//! **Invariant:** each refusal is followed by a close without another byte.

use crate::harness::{Client, TestDatabase, TestServer};

/// Sends bytes and expects one refusal and a close; a valid request behind them must not be answered.
fn expect_refusal(server: &TestServer, what: &str, bytes: impl AsRef<[u8]>, status: u16) {
    let mut client = server.connect();
    let mut bytes = bytes.as_ref().to_vec();
    bytes.extend_from_slice(b"GET /plaintext HTTP/1.1\r\nHost: behind\r\n\r\n");
    // The server may answer and close before it has taken all of it.
    let _ = client.try_send(&bytes);
    let response = client.try_receive().unwrap_or_else(|why| panic!("{what}: {why}"));
    assert_eq!(response.status, status, "{what}: {response:?}");
    client.expect_close();
}

#[test]
fn a_bare_lf_is_400_wherever_the_bytes_are_cut() {
    let server = TestServer::without_database();
    let bytes = b"GET /json HTTP/1.1\r\nHost: a\n\r\n";
    for cut in 1..bytes.len() {
        let mut client = server.connect();
        client.send(&bytes[..cut]);
        let _ = client.try_send(&bytes[cut..]);
        let response = client.receive();
        assert_eq!(response.status, 400, "cut at {cut}: {response:?}");
        client.expect_close();
    }
}

#[test]
fn a_request_target_too_long_is_414() {
    let server = TestServer::without_database();
    for length in [10_000, 100_000] {
        let target = format!("/json?{}", "a".repeat(length));
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        expect_refusal(&server, &format!("a target of {length} bytes"), bytes, 414);
    }
    assert_eq!(server.connect().get(&format!("/json?{}", "a".repeat(1000))).status, 200);
}

#[test]
fn a_head_larger_than_the_limit_is_431() {
    let server = TestServer::without_database();
    let one = format!("GET /json HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "b".repeat(100_000));
    expect_refusal(&server, "one header of 100 kB", one, 431);
    let line = format!("X-{}: {}\r\n", "n".repeat(50), "v".repeat(2_000));
    let many = format!("GET /json HTTP/1.1\r\nHost: a\r\n{}\r\n", line.repeat(50));
    expect_refusal(&server, "50 headers of 2 kB", many, 431);
    let unfinished = format!("GET /json HTTP/1.1\r\nHost: a\r\nX: {}", "b".repeat(1_000_000));
    expect_refusal(&server, "a header without an end", unfinished, 431);
    assert_eq!(server.connect().ask("GET", "/json", &[&format!("X: {}", "b".repeat(4_000))]).status, 200);
}

#[test]
fn more_than_100_headers_are_431() {
    let server = TestServer::without_database();
    let head = |count: usize| {
        let lines: Vec<String> = (1..count).map(|number| format!("X-{number}: v\r\n")).collect();
        let lines = lines.concat();
        format!("GET /json HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
    };
    expect_refusal(&server, "101 headers", head(101), 431);
    expect_refusal(&server, "500 headers", head(500), 431);
    let mut client = server.connect();
    client.send(head(100));
    assert_eq!(client.receive().status, 200, "100 headers are nothing odd");
}

#[test]
fn a_refusal_behind_good_requests_comes_after_their_answers() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let good = "GET /db HTTP/1.1\r\nHost: a\r\n\r\nGET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n";
    for (bad, status) in [
        ("GET /json HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /json HTTP/1.1\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        ("GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(10_000)), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(100_000)), 431),
    ] {
        let mut client = server.connect();
        let _ = client.try_send(format!("{good}{good}{bad}{good}"));
        check_good(&mut client, &bad);
        check_good(&mut client, &bad);
        assert_eq!(client.receive().status, status, "{bad:.60}");
        client.expect_close();
    }
}

fn check_good(client: &mut Client, bad: &str) {
    let first = client.receive();
    assert_eq!(first.status, 200, "before {bad:.60}: {first:?}");
    assert!(first.json()["id"].is_number());
    assert_eq!(client.receive().text(), "Hello, World!");
}
