//! `/status.json`, against what the tests did to the service.
//!
//! **Invariant:** totals are exact as soon as the answers that they count have come.

use std::net::SocketAddr;

use plimsoll::telemetry::labels::{Route, StatusClass};
use plimsoll::telemetry::listing::Listing;

use super::{by_socket, status};
use crate::harness::{PATIENCE, ServerSetup, TestDatabase, TestServer, request, wait_until};

#[test]
fn it_says_what_runs_and_counts_what_was_asked_exactly() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let before = status(&server);
    assert_eq!((before.service.processes, before.service.workers, before.processes.len()), (1, 2, 1));
    assert_eq!(before.service.pid, server.pid());
    assert_eq!(before.service.listening, [server.address().to_string()]);
    assert_eq!((before.totals.requests(), before.now.open, before.ready), (0, 0, true));
    let mut clients = [server.connect(), server.connect(), server.connect()];
    for client in &mut clients {
        for target in ["/json", "/db", "/queries?queries=3", "/nothing"] {
            client.get(target);
        }
    }
    let after = status(&server);
    let of = |route: Route, class: StatusClass| after.totals.answered[route][class];
    assert_eq!((of(Route::Json, StatusClass::Successful), of(Route::Db, StatusClass::Successful)), (3, 3));
    assert_eq!(
        (of(Route::Queries, StatusClass::Successful), of(Route::Other, StatusClass::ClientError)),
        (3, 3)
    );
    assert_eq!((after.totals.requests(), after.totals.accepted, after.now.open), (12, 3, 3));
    assert_eq!(after.totals.request_time.count(), 12);
    assert!(after.recent.requests > 0.0 && after.recent.seconds > 0.0, "{:?}", after.recent);
    assert!(after.now.pool.max_size > 0 && after.now.resident_bytes > 0);
    drop(clients);
    wait_until("the connections to be counted as closed", PATIENCE, || {
        let now = status(&server);
        let closed: u64 = now.totals.closed.values().sum();
        (now.now.open == 0 && closed == 3).then_some(())
    });
}

#[test]
fn it_answers_while_every_worker_is_busy() {
    let database = TestDatabase::create();
    let server = ServerSetup::of(&["serve", "--port", "0", "--lab", "--workers", "1"])
        .env("DATABASE_URL", database.url())
        .start();
    let mut client = server.connect();
    // Some hundred milliseconds each, on the only worker's thread.
    let hard = 8;
    client.send(request("GET", "/lab/burn?bits=20").repeat(hard));
    let busy = wait_until("the worker to be at it", PATIENCE, || {
        Some(status(&server)).filter(|seen| seen.now.in_flight == 1)
    });
    assert!(busy.totals.requests() < hard as u64, "it is still at it, and the answer is here");
    let listing = by_socket(&server, "GET", "/connections.json");
    let listing: Listing = serde_json::from_slice(&listing.body).unwrap();
    assert_eq!(
        u64::from(listing.silent_workers) + listing.count,
        1,
        "a worker without time is said to be silent"
    );
    for _ in 0..hard {
        assert_eq!(client.receive().status, 200);
    }
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
