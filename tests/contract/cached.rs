//! `/cached-queries`: a cache that reads through, keeps what it read, and is not filled behind the requests' backs.
//!
//! **Invariant:** what a cache does is judged by PostgreSQL's counts.

use std::collections::HashSet;

use crate::harness::{TestDatabase, TestServer, get, worlds};

#[test]
fn a_filled_cache_asks_the_database_no_more() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    // 200 000 draws on two workers: each worker has seen every row by then, or been primed.
    for _ in 0..50 {
        for client in &mut clients {
            assert_eq!(worlds(&client.get("/cached-queries?count=500")).len(), 500);
        }
    }
    let (_, rows) = database.world_selects();
    // A row that one request draws twice before it is cached may be read twice.
    assert!(rows <= 2 * 10_000 + 1_000, "two caches of 10000 rows were filled by reading {rows} rows");
    for client in &mut clients {
        client.get("/cached-queries?count=500");
    }
    let (_, later) = database.world_selects();
    // A row that no draw had met may still come.
    assert!(later - rows <= 10, "a filled cache still reads: {} rows", later - rows);
}

#[test]
fn cached_rows_cover_the_whole_range() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    let mut seen = HashSet::new();
    for _ in 0..300 {
        seen.extend(worlds(&client.get("/cached-queries?count=500")).iter().map(|row| row.0));
    }
    assert!(seen.contains(&1) && seen.contains(&10_000), "the ends of the range are missing");
    assert!(seen.len() > 9_980, "only {} rows", seen.len());
}

#[test]
fn nothing_refreshes_the_cache_while_no_request_asks() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    client.get("/cached-queries?count=20");
    let before = database.world_selects();
    // Seconds of other work, in which a background refresh would read.
    for _ in 0..200 {
        client.get("/plaintext");
        client.get("/fortunes");
    }
    assert_eq!(database.world_selects(), before);
}

#[test]
fn cached_queries_are_503_while_the_cache_cannot_be_filled() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    let response = client.get("/cached-queries?count=20");
    assert_eq!(response.status, 503, "{response:?}");
    assert!(response.header("retry-after").is_some(), "{response:?}");
    assert_eq!(client.get("/plaintext").status, 200, "the connection stays usable");
}

#[test]
fn the_cached_route_answers_the_first_request_after_a_start() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let table = database.world_numbers();
    let rows = worlds(&get(&server, "/cached-queries?count=500"));
    assert_eq!(rows.len(), 500);
    assert!(rows.iter().all(|(id, number)| table[id] == *number));
}
