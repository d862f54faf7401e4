//! Clients too slow: a head that does not end is 408, a connection that idles is closed, each by its own limit.
//!
//! **Invariant:** the limit that is tested is short, the other is long, so that neither can stand in for the other.

use std::time::{Duration, Instant};

use crate::harness::{ServerSetup, TestServer, request, wait_until};

const SHORT: Duration = Duration::from_millis(300);
/// How much later than its limit a timeout may act on a busy machine.
const LATE: Duration = Duration::from_secs(5);

fn with_limits(header: &str, idle: &str) -> TestServer {
    ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none")
        .args(&["--header-timeout", header, "--idle-timeout", idle])
        .start()
}

#[test]
fn half_a_head_is_408_and_then_a_close() {
    let server = with_limits("300ms", "75s");
    for part in [
        "G",
        "GET /json HTTP/1.1\r\n",
        "GET /json HTTP/1.1\r\nHost: a\r\n",
        "GET /json HTTP/1.1\r\nHost: a\r\n\r",
    ] {
        let mut client = server.connect();
        let start = Instant::now();
        client.send(part);
        let response = client.receive();
        assert_eq!(response.status, 408, "{part:?}: {response:?}");
        assert!(response.announces_close(), "{response:?}");
        assert!((SHORT..SHORT + LATE).contains(&start.elapsed()), "{part:?} after {:?}", start.elapsed());
        client.expect_close();
    }
}

#[test]
fn half_a_second_head_is_408_too() {
    let server = with_limits("300ms", "75s");
    let mut client = server.connect();
    client.send([&request("GET", "/plaintext")[..], b"GET /json HT"].concat());
    assert_eq!(client.receive().text(), "Hello, World!");
    assert_eq!(client.receive().status, 408);
    client.expect_close();
}

#[test]
fn a_head_that_trickles_is_408_however_often_a_byte_comes() {
    let server = with_limits("300ms", "75s");
    let mut client = server.connect();
    let start = Instant::now();
    client.send("GET /json HTTP/1.1\r\nHost: a\r\nX: ");
    // Each byte comes well within the limit; the head as a whole does not.
    let trickled = (0..200).find(|_| {
        let went = client.try_send("x").is_ok();
        std::thread::park_timeout(Duration::from_millis(20));
        !went || start.elapsed() > SHORT + LATE || client.arrived()
    });
    assert!(trickled.is_some());
    assert_eq!(client.receive().status, 408);
    assert!(start.elapsed() < SHORT + LATE, "after {:?}", start.elapsed());
}

#[test]
fn an_idle_connection_is_closed_without_a_byte() {
    let server = with_limits("75s", "300ms");
    let start = Instant::now();
    let mut fresh = server.connect();
    let mut used = server.connect();
    assert_eq!(used.get("/json").status, 200);
    fresh.expect_close_within(SHORT + LATE);
    used.expect_close_within(SHORT + LATE);
    assert!(start.elapsed() >= Duration::from_millis(250), "closed after {:?}", start.elapsed());
}

#[test]
fn a_refused_client_that_does_not_hang_up_is_hung_up_on() {
    let server = with_limits("75s", "75s");
    for (bytes, status) in [
        ("GET /json HTTP/1.1\r\n\r\n", 400),
        ("GET /json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
    ] {
        let mut client = server.connect();
        client.send(bytes);
        assert_eq!(client.receive().status, status);
        client.expect_close();
        // Our half stays open, as that of a client that has not noticed.
        wait_until("the server to close its socket", Duration::from_secs(10), || {
            client.try_send("x").is_err().then_some(())
        });
    }
}

#[test]
fn each_request_begins_the_idle_time_anew() {
    let server = with_limits("75s", "600ms");
    let mut client = server.connect();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1500) {
        assert_eq!(client.get("/json").status, 200, "after {:?}", start.elapsed());
        client.expect_silence(Duration::from_millis(200));
    }
    client.expect_close_within(LATE);
}

#[test]
fn the_header_limit_does_not_close_an_idle_connection() {
    let server = with_limits("300ms", "75s");
    let mut fresh = server.connect();
    let mut used = server.connect();
    assert_eq!(used.get("/json").status, 200);
    fresh.expect_silence(SHORT * 3);
    used.expect_silence(Duration::from_millis(1));
    assert_eq!(fresh.get("/plaintext").status, 200);
    assert_eq!(used.get("/plaintext").status, 200);
}

#[test]
fn a_blank_line_behind_a_request_is_no_head_that_could_be_late() {
    let server = with_limits("300ms", "75s");
    for blank in ["\r\n", "\r\n\r\n\r\n"] {
        let (mut fresh, mut used) = (server.connect(), server.connect());
        // RFC 9112, section 2.2: some clients of old sent one behind a body.
        fresh.send(blank);
        used.send([&request("GET", "/json")[..], blank.as_bytes()].concat());
        assert_eq!(used.receive().status, 200);
        fresh.expect_silence(SHORT * 3);
        used.expect_silence(Duration::from_millis(1));
        assert_eq!(fresh.get("/plaintext").status, 200);
        assert_eq!(used.get("/plaintext").status, 200);
        // Half of one has begun, and is late as anything else.
        used.send("\r");
        assert_eq!(used.receive().status, 408);
        used.expect_close();
    }
}

#[test]
fn the_idle_limit_does_not_cut_a_head_that_is_on_its_way() {
    let server = with_limits("75s", "300ms");
    let mut client = server.connect();
    let bytes = request("GET", "/json");
    client.send(&bytes[..20]);
    client.expect_silence(SHORT * 3);
    client.send(&bytes[20..]);
    assert_eq!(client.receive().status, 200);
}

#[test]
fn a_slow_answer_is_no_idle_connection() {
    let database = crate::harness::TestDatabase::create();
    let forwarder = crate::harness::Forwarder::start();
    let server = ServerSetup::with_url(&database.url_through(forwarder.port()))
        .args(&["--idle-timeout", "300ms", "--header-timeout", "300ms", "--request-deadline", "30s"])
        .start();
    let mut client = server.connect();
    assert_eq!(client.get("/db").status, 200);
    let mut client = server.connect();
    forwarder.hang();
    client.send(request("GET", "/db"));
    client.expect_silence(SHORT * 3);
    let mut forwarder = forwarder;
    forwarder.restore();
    assert_eq!(client.receive().status, 200);
}
