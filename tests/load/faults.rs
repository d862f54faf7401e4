//! A server that fails: each way has its kind, and the run goes on.
//!
//! **Invariant:** every request asked for is in the report: answered, or failed by a kind.

use serde_json::json;

use super::stand_in::{OK, Reaction, StandIn};
use super::{load, load_json, number};
use crate::harness::unused_port;

/// Every third request is met by a reaction, the others are answered; each failure is of one kind.
fn expect_kind(kind: &str, reaction: Reaction) {
    let stand_in = StandIn::start(move |n| if n % 3 == 2 { reaction.clone() } else { Reaction::Bytes(OK) });
    // Where no time should run out, a busy machine has enough of it.
    let timeout = if kind == "timeout" { "300ms" } else { "10s" };
    let words = ["-t1", "-c1", "-n", "12", "--timeout", timeout, &stand_in.url()];
    let (finished, report) = load_json(&words);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(number(&report, "/statuses/200"), 8, "{report}");
    assert_eq!(number(&report, &format!("/errors_by_kind/{kind}")), 4, "{report}");
    assert_eq!(number(&report, "/errors"), 4, "{report}");
    assert_eq!(stand_in.requests(), 12);
}

#[test]
fn a_reset_is_told_as_reset() {
    expect_kind("reset", Reaction::Reset);
}

#[test]
fn an_end_before_the_answer_is_told_as_closed_early() {
    expect_kind("closed_early", Reaction::BytesAndClose(""));
    expect_kind("closed_early", Reaction::BytesAndClose("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"));
}

#[test]
fn no_answer_within_the_limit_is_told_as_timeout() {
    expect_kind("timeout", Reaction::Silence);
    expect_kind("timeout", Reaction::Bytes("HTTP/1.1 200 OK\r\nContent-Le"));
}

#[test]
fn what_is_not_http_is_told_as_parse() {
    expect_kind("parse", Reaction::Bytes("SSH-2.0-other\r\n"));
    expect_kind("parse", Reaction::Bytes("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"));
    expect_kind("parse", Reaction::Bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n"));
}

#[test]
fn answers_in_chunks_in_pieces_and_to_the_end_are_answers() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n";
    let reactions = [
        Reaction::Bytes(chunked),
        Reaction::Dribble(chunked),
        Reaction::Dribble(OK),
        Reaction::BytesAndClose("HTTP/1.1 200 OK\r\n\r\nto the end"),
    ];
    let stand_in = StandIn::start(move |n| reactions[n % reactions.len()].clone());
    let (finished, report) = load_json(&["-t1", "-c1", "-n", "8", &stand_in.url()]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!((number(&report, "/statuses/200"), number(&report, "/errors")), (8, 0), "{report}");
}

#[test]
fn an_answer_that_nobody_asked_for_is_a_parse_failure_unless_it_came_in_the_warm_up() {
    let twice =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for (warm_up, kinds) in [("0s", json!({ "parse": 1 })), ("1s", json!({}))] {
        let stand_in = StandIn::start(move |n| Reaction::Bytes(if n == 0 { twice } else { OK }));
        let (finished, report) = load_json(&["-t1", "-c1", "-n", "5", "--warm-up", warm_up, &stand_in.url()]);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!((number(&report, "/requests"), &report["errors_by_kind"]), (5, &kinds), "{report}");
    }
}

#[test]
fn nobody_there_is_1_and_says_what_to_look_at() {
    let port = unused_port();
    let finished = load(&[&format!("http://127.0.0.1:{port}/")]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(
        finished.stderr.contains(&port.to_string()) && finished.stderr.contains("running"),
        "{finished:?}"
    );
}

#[test]
fn a_server_that_never_answers_is_1_and_is_reported_all_the_same() {
    let stand_in = StandIn::start(|_| Reaction::Reset);
    let (finished, report) = load_json(&["-c1", "-n", "3", &stand_in.url()]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(number(&report, "/errors_by_kind/reset"), 3);
    assert!(!finished.stderr.is_empty(), "it says why");
}

#[test]
fn a_server_that_goes_away_ends_a_run_for_a_number_of_requests() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let (finished, report) = load_json(&["-c2", "-n", "5", &url]);
    server.join().unwrap();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    // The backlog may have taken some before it closed.
    assert_eq!(number(&report, "/errors"), 5, "{report}");
}
