//! "Everything else a client can send": requests that are refused, and the connection closed.
//!
//! **Invariant:** each refusal is followed by a close without another byte, and a fresh connection is served.

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

/// Refused with 400.
fn expect_bad_request(server: &TestServer, cases: &[(&str, &[u8])]) {
    for (what, bytes) in cases {
        expect_refusal(server, what, bytes, 400);
    }
    assert_eq!(server.connect().get("/plaintext").status, 200);
}

#[test]
fn http_1_1_without_host_with_two_or_with_an_invalid_one_is_400() {
    let server = TestServer::without_database();
    expect_bad_request(
        &server,
        &[
            ("no Host", b"GET /json HTTP/1.1\r\n\r\n"),
            ("no Host among others", b"GET /json HTTP/1.1\r\nAccept: */*\r\nX-Host: a\r\n\r\n"),
            ("two Hosts", b"GET /json HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            ("two equal Hosts", b"GET /json HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n"),
            ("a space in Host", b"GET /json HTTP/1.1\r\nHost: a b\r\n\r\n"),
            ("a slash in Host", b"GET /json HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            ("a user in Host", b"GET /json HTTP/1.1\r\nHost: me@a\r\n\r\n"),
            ("letters for a port", b"GET /json HTTP/1.1\r\nHost: a:http\r\n\r\n"),
            ("a list of Hosts", b"GET /json HTTP/1.1\r\nHost: a, b\r\n\r\n"),
            ("an open bracket", b"GET /json HTTP/1.1\r\nHost: [::1\r\n\r\n"),
            ("a byte beyond ASCII", b"GET /json HTTP/1.1\r\nHost: a\xff\r\n\r\n"),
        ],
    );
}

#[test]
fn a_valid_host_in_any_form_is_taken() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    // RFC 9112, 3.2: an empty one is what a request for an authority without a host carries.
    for host in [
        "localhost",
        "a.example:8080",
        "127.0.0.1",
        "[::1]:80",
        "tfb-server:8080",
        "a_b",
        "A",
        "xn--ls8h.example",
    ] {
        client.send(format!("GET /json HTTP/1.1\r\nhost:{host}\r\n\r\n"));
        assert_eq!(client.receive().status, 200, "{host}");
    }
}

#[test]
fn a_bare_lf_anywhere_in_a_head_is_400() {
    let server = TestServer::without_database();
    expect_bad_request(
        &server,
        &[
            ("after the request line", b"GET /json HTTP/1.1\nHost: a\r\n\r\n"),
            ("after a header", b"GET /json HTTP/1.1\r\nHost: a\nAccept: b\r\n\r\n"),
            ("after the last header", b"GET /json HTTP/1.1\r\nHost: a\n\r\n"),
            ("as the blank line", b"GET /json HTTP/1.1\r\nHost: a\r\n\n"),
            ("everywhere", b"GET /json HTTP/1.1\nHost: a\n\n"),
            ("within a value", b"GET /json HTTP/1.1\r\nHost: a\r\nX: 1\n 2\r\n\r\n"),
        ],
    );
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
fn control_characters_in_a_head_are_400() {
    let server = TestServer::without_database();
    expect_bad_request(
        &server,
        &[
            ("NUL in a value", b"GET /json HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
            ("NUL in a name", b"GET /json HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n"),
            ("NUL in the target", b"GET /js\0on HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a control in a value", b"GET /json HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n"),
            ("DEL in a value", b"GET /json HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n"),
            ("a bare CR in a value", b"GET /json HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
            ("a control in the target", b"GET /\x07 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ],
    );
}

#[test]
fn whitespace_before_a_colon_and_folded_lines_are_400() {
    let server = TestServer::without_database();
    expect_bad_request(
        &server,
        &[
            ("a space before the colon", b"GET /json HTTP/1.1\r\nHost : a\r\n\r\n"),
            ("a tab before the colon", b"GET /json HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n"),
            ("a folded line", b"GET /json HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"),
            ("a line folded by a tab", b"GET /json HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n"),
            ("a space before the first header", b"GET /json HTTP/1.1\r\n Host: a\r\n\r\n"),
            ("no name", b"GET /json HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
            ("no colon", b"GET /json HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n"),
        ],
    );
}

#[test]
fn a_malformed_request_line_is_400() {
    let server = TestServer::without_database();
    expect_bad_request(
        &server,
        &[
            ("no version", b"GET /json\r\nHost: a\r\n\r\n"),
            ("no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("another protocol", b"GET /json HTTQ/1.1\r\nHost: a\r\n\r\n"),
            ("a space in the target", b"GET /js on HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        ],
    );
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
