//! Counts are exact: as many requests as were asked for, and as many as the server saw.
//!
//! **Invariant:** the other side of each comparison is counted by PostgreSQL or by the stand-in, not by `load`.

use super::stand_in::{OK, Reaction, StandIn};
use super::{load_json, number};
use crate::harness::{TestDatabase, TestServer};

#[test]
fn as_many_requests_reach_the_database_as_were_asked_for() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    database.forget_statements();
    let url = format!("http://{}/db", server.address());
    let (finished, report) = load_json(&["-t2", "-c16", "-n", "1001", &url]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(number(&report, "/requests"), 1001);
    assert_eq!(number(&report, "/statuses/200"), 1001);
    assert_eq!(number(&report, "/latency_us/raw/count"), 1001);
    assert_eq!(database.world_selects().0, 1001);
}

#[test]
fn pipelined_requests_are_counted_one_by_one_and_weights_are_kept() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    database.forget_statements();
    let url = format!("http://{}", server.address());
    let words = ["-t1", "-c4", "-n", "400", "--pipeline", "8", "--path", "/db=3", "--path", "/json", &url];
    let (finished, report) = load_json(&words);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(number(&report, "/statuses/200"), 400);
    assert_eq!(database.world_selects().0, 300);
}

#[test]
fn each_status_is_counted() {
    let server = TestServer::without_database();
    let url = format!("http://{}", server.address());
    let words = ["-c4", "-n", "400", "--path", "/json=2", "--path", "/db", "--path", "/none", &url];
    let (finished, report) = load_json(&words);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    // Two threads of 200: whole rounds of four.
    for (status, count) in [("200", 200), ("503", 100), ("404", 100)] {
        assert_eq!(number(&report, &format!("/statuses/{status}")), count, "{report}");
    }
    assert_eq!(number(&report, "/non_2xx"), 200);
    assert_eq!(number(&report, "/errors"), 0);
}

#[test]
fn a_connection_that_the_server_ends_is_opened_again() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let stand_in = StandIn::start(move |_| Reaction::BytesAndClose(answer));
    // Those that were sent behind the last answer are asked again, so that three deep changes no count.
    for depth in ["1", "3"] {
        let (finished, report) = load_json(&["-c3", "-n", "60", "--pipeline", depth, &stand_in.url()]);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!(number(&report, "/statuses/200"), 60);
        assert_eq!(number(&report, "/errors"), 0);
        assert!(number(&report, "/connections_opened") >= 60, "{report}");
    }
}

#[test]
fn the_warm_up_is_not_counted() {
    let stand_in = StandIn::start(|_| Reaction::Bytes(OK));
    let (finished, report) = load_json(&["-c2", "-n", "50", "--warm-up", "300ms", &stand_in.url()]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(number(&report, "/requests"), 50);
    assert!(stand_in.requests() > 50, "nothing was asked to warm up");
}

#[test]
fn connections_come_from_the_addresses_named() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut sources = std::collections::BTreeSet::new();
        // The first connection is the look whether anybody is there.
        let _probe = listener.accept().unwrap();
        let mut streams: Vec<_> = (0..4).map(|_| listener.accept().unwrap()).collect();
        for (stream, from) in &mut streams {
            sources.insert(from.ip().to_string());
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(OK.as_bytes()).unwrap();
        }
        sources
    });
    let (finished, _) = load_json(&["-t2", "-c4", "-n", "4", "--source", "127.0.0.4/30", &url]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(server.join().unwrap().into_iter().collect::<Vec<_>>(), ["127.0.0.5", "127.0.0.6"]);
}
