//! `/status.json`, against what the tests did to the service.
//!
//! **Invariant:** totals are exact as soon as the answers that they count have come.

use std::net::SocketAddr;

use plimsoll::telemetry::listing::Listing;

use super::{by_socket, status};
use crate::harness::{TestDatabase, TestServer};

#[test]
fn it_says_what_runs() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let before = status(&server);
    assert_eq!((before.service.processes, before.service.workers, before.processes.len()), (1, 2, 1));
    assert_eq!(before.service.pid, server.pid());
    assert_eq!(before.service.listening, [server.address().to_string()]);
    assert_eq!((before.totals.requests(), before.now.open, before.ready), (0, 0, true));
}

#[test]
fn connections_are_listed_by_filter_and_a_slip_of_the_pen_is_refused() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut clients: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/json").status, 200);
    }
    let list = |query: &str| -> Listing {
        let answer = by_socket(&server, "GET", &format!("/connections.json{query}"));
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
    };
    let all = list("?rows=4");
    assert_eq!((all.count, all.open, all.rows.len(), all.silent_workers), (6, 6, 4, 0));
    assert_eq!(all.by_peer, [("127.0.0.1".parse().unwrap(), 6)]);
    assert!(all.rows.iter().all(|row| row.pid == server.pid()));
    let ports: Vec<u16> = clients.iter().map(crate::harness::Client::port).collect();
    let known = |peer: SocketAddr| ports.contains(&peer.port());
    assert!(all.rows.iter().all(|row| row.peer.is_some_and(known)), "{:?}", all.rows);
    assert_eq!(list("?peer=127.0.0.2").count, 0);
    assert_eq!(list("?idle_for_s=3600").count, 0);
    let refused = by_socket(&server, "GET", "/connections.json?states=idle");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("state, peer, idle_for_s and rows"), "{}", refused.text());
}
