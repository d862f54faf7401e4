//! `/metrics`, read as Prometheus reads it.
//!
//! **Invariant:** values are compared with what was asked, by name and labels.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use super::{by_socket, by_tcp};
use crate::harness::{PATIENCE, ServerSetup, TestDatabase};

/// Each series with its value.
fn series(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let read = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        (name.to_owned(), value.parse().unwrap_or_else(|error| panic!("{line}: {error}")))
    });
    let series: Vec<(String, f64)> = read.collect();
    let distinct: BTreeMap<String, f64> = series.iter().cloned().collect();
    assert_eq!(distinct.len(), series.len(), "a series is there twice:\n{text}");
    distinct
}

#[test]
fn they_agree_with_what_was_asked_and_every_family_is_described() {
    let database = TestDatabase::create();
    let server = ServerSetup::with_database(&database).env("PLIMSOLL_ADMIN", "127.0.0.1:0").start();
    let mut client = server.connect();
    for _ in 0..5 {
        assert_eq!(client.get("/db").status, 200);
    }
    assert_eq!(client.get("/nothing").status, 404);
    let text = by_tcp(server.admin_address(), "GET", "/metrics").text();
    let series = series(&text);
    for (name, value) in [
        (r#"plimsoll_http_requests_total{route="db",status="2xx"}"#, 5.0),
        (r#"plimsoll_http_requests_total{route="other",status="4xx"}"#, 1.0),
        ("plimsoll_request_duration_seconds_count", 6.0),
        (r#"plimsoll_request_duration_seconds_bucket{le="+Inf"}"#, 6.0),
        ("plimsoll_pool_wait_seconds_count", 5.0),
        ("plimsoll_database_duration_seconds_count", 5.0),
        ("plimsoll_connections_accepted_total", 1.0),
        ("plimsoll_database_reconnects_total", 0.0),
        ("plimsoll_database_reached", 1.0),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name} in:\n{text}");
    }
    let connections = |state: &str| series[&format!("plimsoll_connections{{state=\"{state}\"}}")];
    assert!((connections("active") + connections("parked") - 1.0).abs() < 0.1, "{text}");
    assert!(series[r#"plimsoll_pool_connections{state="available"}"#] >= 1.0, "{text}");
    let described = |word: &str| text.lines().filter(|line| line.starts_with(&format!("# {word} "))).count();
    assert_eq!(described("HELP"), described("TYPE"));
    assert_eq!(text.matches("requests_total ").count(), 2, "one family has that name: its HELP and its TYPE");
}

#[test]
fn who_asks_for_openmetrics_gets_it() {
    let server = ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none")
        .env("PLIMSOLL_ADMIN", "127.0.0.1:0")
        .start();
    let mut stream = TcpStream::connect_timeout(&server.admin_address(), PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.to_ascii_lowercase().contains("content-type: application/openmetrics-text"), "{answer}");
    assert!(answer.ends_with("# EOF\n"), "{answer}");
    assert!(answer.contains("# UNIT plimsoll_request_duration_seconds seconds"), "{answer}");
    let older = by_socket(&server, "GET", "/metrics").text();
    assert!(
        !older.contains("# EOF") && older.contains("# TYPE plimsoll_sent_bytes_total counter"),
        "{older}"
    );
}
