//! `/lab/echo`: the only route that takes a body.
//!
//! **Invariant:** whatever stands in a body is never answered as a request, and what follows it always is.

use std::time::Duration;

use super::{bare, one_worker};
use crate::harness::{Client, PATIENCE, Response, TestServer, request, request_with, wait_until};

/// Looks like a request, and like one that is refused, to whoever takes it for a head.
const BODY: &str = "GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\nGET /bare\n\r\n\r\n";
const GREETING: &str = r#"{"message":"Hello, World!"}"#;

fn post(body: &[u8], headers: &[&str]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    [&request_with("POST", "/lab/echo", &[headers, &[&length]].concat())[..], body].concat()
}

fn expect_echo(response: &Response, body: &[u8]) {
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.body == body, "{} bytes came back of {}", response.body.len(), body.len());
    assert!(!response.announces_close(), "{response:?}");
}

/// A request that is refused: this status, and a connection that ends with nothing more on it.
fn expect_end(server: &TestServer, what: &str, bytes: impl AsRef<[u8]>, status: u16) {
    let mut client = server.connect();
    let _ = client.try_send([bytes.as_ref(), &request("GET", "/plaintext")].concat());
    let response = client.try_receive().unwrap_or_else(|why| panic!("{what}: {why}"));
    assert_eq!(response.status, status, "{what}: {response:?}");
    client.expect_close();
}

#[test]
fn a_body_comes_back_with_its_type_and_the_connection_goes_on() {
    let server = one_worker().start();
    let mut client = server.connect();
    for kind in ["text/plain; charset=utf-8", "application/json", "x/y"] {
        client.send(post(BODY.as_bytes(), &[&format!("Content-Type: {kind}")]));
        let response = client.receive();
        expect_echo(&response, BODY.as_bytes());
        assert_eq!(response.header("content-type"), Some(kind));
        assert_eq!(client.get("/json").text(), GREETING);
    }
    client.send(post(b"x", &[]));
    assert_eq!(client.receive().header("content-type"), Some("application/octet-stream"));
    client.send(post(b"", &[]));
    expect_echo(&client.receive(), b"");
    client.send(request("POST", "/lab/echo"));
    expect_echo(&client.receive(), b"");
    client.send(String::from_utf8(post(b"hello", &[])).unwrap().replace("echo", "echo?some=query"));
    expect_echo(&client.receive(), b"hello");
}

#[test]
fn a_body_of_64_kib_comes_back_and_one_byte_more_is_413() {
    let server = one_worker().start();
    let body: Vec<u8> = (0..=u8::MAX).cycle().take(64 * 1024).collect();
    let mut client = server.connect();
    for _ in 0..3 {
        client.send(post(&body, &[]));
        expect_echo(&client.receive(), &body);
    }
    assert_eq!(client.get("/json").text(), GREETING);
    expect_end(&server, "a byte more", post(&[body.as_slice(), b"x"].concat(), &[]), 413);
    expect_end(
        &server,
        "a huge one",
        request_with("POST", "/lab/echo", &["Content-Length: 99999999999"]),
        413,
    );
}

#[test]
fn bodies_cut_at_every_byte_come_back_before_and_behind_other_requests() {
    let server = one_worker().start();
    let before = request("GET", "/json");
    let stream = [&before[..], &post(BODY.as_bytes(), &[]), &post(b"\n", &[]), &before].concat();
    let mut client = server.connect();
    for cut in 1..stream.len() {
        client.send(&stream[..cut]);
        // Both pieces must be read apart, so that the cut is one: what is whole before it is answered.
        if cut >= before.len() {
            assert_eq!(client.receive().text(), GREETING, "cut at {cut}");
        }
        client.send(&stream[cut..]);
        if cut < before.len() {
            assert_eq!(client.receive().text(), GREETING, "cut at {cut}");
        }
        expect_echo(&client.receive(), BODY.as_bytes());
        expect_echo(&client.receive(), b"\n");
        assert_eq!(client.receive().text(), GREETING, "cut at {cut}");
        assert!(!client.has_more(), "cut at {cut}");
    }
}

#[test]
fn a_body_sent_byte_by_byte_comes_back() {
    let server = one_worker().start();
    let mut client = server.connect();
    for byte in [post(BODY.as_bytes(), &[]), request("GET", "/json")].concat() {
        client.send([byte]);
    }
    expect_echo(&client.receive(), BODY.as_bytes());
    assert_eq!(client.receive().text(), GREETING);
}

#[test]
fn many_bodies_in_one_go_come_back_in_order() {
    let server = one_worker().start();
    let bodies: Vec<Vec<u8>> = (1..=40_usize).map(|number| vec![b'\n'; number * 199]).collect();
    let mut client = server.connect();
    let mut writer = client.writer();
    let sent = bodies.iter().map(|body| post(body, &[])).collect::<Vec<_>>().concat();
    // The server stops reading where the client does not read: both ways must move.
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &sent));
    for body in &bodies {
        expect_echo(&client.receive(), body);
    }
    sending.join().expect("the writer to end").expect("the server to take the bytes");
    assert_eq!(client.get("/json").text(), GREETING);
}

#[test]
fn a_client_that_waits_for_100_gets_it_and_then_its_body() {
    let server = one_worker().start();
    let mut client = server.connect();
    client.send(request_with("POST", "/lab/echo", &["Content-Length: 5", "Expect: 100-continue"]));
    assert_eq!(client.receive().status, 100);
    client.send("hello");
    expect_echo(&client.receive(), b"hello");
    assert_eq!(client.get("/json").text(), GREETING);
}

#[test]
fn a_body_that_does_not_come_whole_is_408_and_then_a_close() {
    let server = bare().args(&["--lab", "--request-deadline", "300ms", "--park-after", "100ms"]).start();
    let whole = post(b"hello", &[]);
    for missing in 1..=5 {
        let mut client = server.connect();
        client.send(&whole[..whole.len() - missing]);
        let response = client.receive();
        assert_eq!((response.status, response.announces_close()), (408, true), "{missing} bytes missing");
        client.expect_close();
    }
}

#[test]
fn a_slow_body_outlasts_the_limits_of_heads_and_of_idle_connections() {
    let server = bare()
        .args(&["--lab", "--header-timeout", "100ms", "--idle-timeout", "100ms", "--park-after", "50ms"])
        .args(&["--request-deadline", "1h"])
        .start();
    let mut client = server.connect();
    let whole = post(b"hello", &[]);
    client.send(&whole[..whole.len() - 2]);
    client.expect_silence(Duration::from_millis(500));
    client.send(&whole[whole.len() - 2..]);
    expect_echo(&client.receive(), b"hello");
}

#[test]
fn a_client_that_leaves_or_half_closes_within_its_body_harms_nobody() {
    let server = one_worker().start();
    let whole = post(b"hello", &[]);
    for missing in 1..=5 {
        let mut client = server.connect();
        client.send(&whole[..whole.len() - missing]);
        client.half_close();
        if let Ok(response) = client.try_receive() {
            assert_eq!(response.status, 400, "{response:?}");
        }
        client.expect_close();
        let mut client = server.connect();
        client.send(&whole[..whole.len() - missing]);
    }
    assert_eq!(server.connect().get("/json").text(), GREETING);
}

#[test]
fn other_methods_are_405_with_allow_and_options_lists_them() {
    let server = one_worker().start();
    let mut client = server.connect();
    for method in ["GET", "PUT", "DELETE", "PATCH", "post"] {
        let response = client.ask(method, "/lab/echo", &[]);
        assert_eq!((response.status, response.header("allow")), (405, Some("POST, OPTIONS")), "{method}");
        let with_body =
            [&request_with(method, "/lab/echo", &["Content-Length: 45"])[..], BODY.as_bytes()].concat();
        expect_end(&server, method, with_body, 405);
    }
    let response = client.ask("OPTIONS", "/lab/echo", &[]);
    assert_eq!((response.status, response.header("allow")), (200, Some("POST, OPTIONS")));
}

#[test]
fn a_body_whose_end_could_be_read_differently_is_refused_and_never_read_on() {
    let server = one_worker().start();
    let coded = "4\r\nGET \r\n0\r\n\r\n";
    for headers in [
        &["Transfer-Encoding: chunked"][..],
        &["Transfer-Encoding: identity"],
        &["Transfer-Encoding: gzip, chunked"],
        &["Transfer-Encoding: chunked", "Content-Length: 5"],
        &["Content-Length: 5", "Transfer-Encoding: chunked"],
        &["Content-Length: 5", "transfer-encoding:"],
        &["Content-Length: 5", "Content-Length: 6"],
        &["Content-Length: 5, 5"],
        &["Content-Length: +5"],
        &["Content-Length: -5"],
        &["Content-Length: 0x5"],
        &["Content-Length: 5 5"],
        &["Content-Length:"],
        &["Content-Length : 5"],
        &["X: y", " Content-Length: 5"],
    ] {
        let mut client = server.connect();
        client.send(request_with("POST", "/lab/echo", headers));
        let _ = client.try_send(format!("{coded}GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.receive();
        assert_eq!(response.status, 400, "{headers:?}: {response:?}");
        client.expect_close();
    }
    let mut client = server.connect();
    client.send(post(b"hello", &["Content-Length: 5"]));
    expect_echo(&client.receive(), b"hello");
    assert_eq!(client.get("/json").text(), GREETING, "the same length twice is one");
    let absolute = post(BODY.as_bytes(), &[]);
    let absolute = String::from_utf8(absolute).unwrap().replace("/lab/echo", "http://a/lab/echo");
    expect_end(&server, "absolute form", absolute, 400);
    let no_host = format!("POST /lab/echo HTTP/1.1\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
    expect_end(&server, "no host", no_host, 400);
}

#[test]
fn the_other_routes_take_no_body_though_this_one_does() {
    let server = one_worker().start();
    let hidden = format!("Content-Length: {}", BODY.len());
    for (method, target, status) in [
        ("GET", "/json", 400),
        ("POST", "/json", 405),
        ("POST", "/lab/echoes", 404),
        ("POST", "/lab/wait?ms=1", 405),
        ("GET", "/json?/lab/echo", 400),
    ] {
        let bytes = [&request_with(method, target, &[&hidden])[..], BODY.as_bytes()].concat();
        expect_end(&server, target, bytes, status);
    }
}

#[test]
fn a_drain_lets_a_body_come_whole_and_answers_it() {
    let mut server = one_worker().args(&["--drain-grace", "10s", "--drain-deadline", "20s"]).start();
    let whole = post(b"hello", &[]);
    let mut client = server.connect();
    client.send(&whole[..whole.len() - 2]);
    assert_eq!(server.connect().get("/json").text(), GREETING);
    server.signal(rustix::process::Signal::TERM);
    wait_until("the listener to close", PATIENCE, || {
        Client::try_connect(server.address()).is_err().then_some(())
    });
    client.send(&whole[whole.len() - 2..]);
    let response = client.receive();
    assert_eq!((response.status, response.text()), (200, "hello"));
    assert!(response.announces_close(), "{response:?}");
    client.expect_close();
    assert_eq!(server.wait(PATIENCE).code, Some(0));
}
