//! "Every response": the headers that each answer of a handler carries, whatever the route.
//!
//! **Invariant:** lengths are checked by the client itself: it reads exactly as many bytes as were promised, and the
//! next answer on the connection must start right after them.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::strtime;

use crate::harness::{Response, TestDatabase, TestServer, get, wait_until, worlds};

/// RFC 9110, 5.6.7: the one form that a server may send.
const IMF_FIXDATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// Each route, and its type.
const ROUTES: [(&str, &str); 7] = [
    ("/json", "application/json"),
    ("/plaintext", "text/plain"),
    ("/db", "application/json"),
    ("/queries?queries=3", "application/json"),
    ("/updates?queries=3", "application/json"),
    ("/fortunes", "text/html; charset=utf-8"),
    ("/cached-queries?count=3", "application/json"),
];

/// The moment that a `Date` names; panics where it is not an IMF-fixdate.
fn date_of(response: &Response) -> Timestamp {
    let text = response.header("date").unwrap_or_else(|| panic!("no Date in {response:?}"));
    let written = text.strip_suffix(" GMT").unwrap_or_else(|| panic!("no GMT in {text}"));
    let moment = strtime::parse("%a, %d %b %Y %H:%M:%S %z", format!("{written} +0000"))
        .and_then(|parsed| parsed.to_timestamp())
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    let rendered = strtime::format(IMF_FIXDATE, &moment.to_zoned(jiff::tz::TimeZone::UTC)).expect("a date");
    assert_eq!(text, rendered, "not an IMF-fixdate");
    moment
}

#[test]
fn every_answer_has_server_date_type_and_its_exact_length() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    for (target, kind) in ROUTES {
        let response = client.get(target);
        assert_eq!(response.status, 200, "{target}: {response:?}");
        assert_eq!(response.version, "HTTP/1.1", "{target}");
        assert!(response.header("server").is_some_and(|name| !name.is_empty()), "{target}: {response:?}");
        assert_eq!(response.header("content-type"), Some(kind), "{target}");
        assert!(response.content_length().is_some_and(|length| length > 0), "{target}: {response:?}");
        date_of(&response);
        assert!(!client.has_more(), "{target}: bytes beyond the Content-Length");
    }
}

#[test]
fn errors_of_handlers_have_the_same_headers() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    for (method, target) in [("GET", "/nothing"), ("POST", "/json"), ("DELETE", "/db")] {
        let response = client.ask(method, target, &["Content-Length: 0"]);
        assert!(response.header("server").is_some(), "{method} {target}: {response:?}");
        assert!(response.header("content-type").is_some(), "{method} {target}: {response:?}");
        assert!(response.content_length().is_some(), "{method} {target}: {response:?}");
        date_of(&response);
    }
}

#[test]
fn the_date_is_now_as_an_imf_fixdate() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    for target in ["/json", "/plaintext", "/db", "/nothing"] {
        let date = date_of(&client.get(target));
        let off = Timestamp::now().duration_since(date).as_secs_f64();
        assert!((-1.0..=2.0).contains(&off), "{target}: the date is {off} s behind");
    }
}

#[test]
fn the_date_moves_on() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    let first = date_of(&client.get("/plaintext"));
    let later = wait_until("the date to move on", Duration::from_secs(5), || {
        let date = date_of(&client.get("/plaintext"));
        (date != first).then_some(date)
    });
    assert!(later > first);
    let off = Timestamp::now().duration_since(later).as_secs_f64();
    assert!((-1.0..=2.0).contains(&off), "the date is {off} s behind");
}

#[test]
fn the_length_is_computed_for_each_response() {
    let database = TestDatabase::create();
    database.admin().run("UPDATE world SET randomnumber = CASE WHEN id % 2 = 0 THEN 7 ELSE 10000 END");
    let server = TestServer::on(&database);
    let mut client = server.connect();
    let lengths: HashSet<_> = (0..200).map(|_| client.get("/db").content_length()).collect();
    assert!(lengths.len() > 1, "200 different rows, one length: {lengths:?}");
}

#[test]
fn nothing_is_compressed_or_negotiated() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    for (target, kind) in ROUTES {
        for accept in ["application/json", "text/html", "image/png", "*/*"] {
            let accept = format!("Accept: {accept}");
            let response = client.ask("GET", target, &[&accept, "Accept-Encoding: gzip, deflate, br, zstd"]);
            assert_eq!(response.status, 200, "{target} with {accept}: {response:?}");
            assert_eq!(response.header("content-type"), Some(kind), "{target} with {accept}");
            assert_eq!(response.header("content-encoding"), None, "{target}");
        }
    }
}

#[test]
fn no_response_is_used_twice() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    for target in ["/queries?queries=20", "/updates?queries=20", "/cached-queries?count=20"] {
        let bodies: HashSet<_> = (0..10).map(|_| get(&server, target).body).collect();
        assert_eq!(bodies.len(), 10, "{target} repeated itself");
    }
}

#[test]
fn random_numbers_differ_between_starts_and_workers() {
    let database = TestDatabase::create();
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let server = TestServer::on(&database);
        // The kernel spreads connections over both workers.
        for _ in 0..8 {
            let ids: Vec<i32> =
                worlds(&get(&server, "/queries?queries=20")).iter().map(|row| row.0).collect();
            assert!(seen.insert(ids), "the same 20 ids came twice");
        }
    }
}
