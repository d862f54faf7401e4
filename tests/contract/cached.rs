//! `/cached-queries`: a cache that reads through, keeps what it read, and is not filled behind the requests' backs.
//!
//! **Invariant:** what a cache does is judged by PostgreSQL's counts.

use std::collections::HashSet;

use crate::harness::{ServerSetup, TestDatabase, TestServer, get, worlds};

#[test]
fn a_filled_cache_asks_the_database_no_more() {
    let database = TestDatabase::create();
    // One worker has one cache; how connections spread over several is the kernel's affair.
    let server = ServerSetup::of(&["serve", "--port", "0", "--workers", "1"])
        .env("DATABASE_URL", database.url())
        .start();
    let mut client = server.connect();
    // 200 000 draws: every row has come by then, or nearly surely so.
    for _ in 0..400 {
        assert_eq!(worlds(&client.get("/cached-queries?count=500")).len(), 500);
    }
    let (_, rows) = database.world_selects();
    // A row that one request draws twice before it is cached may be read twice.
    assert!(rows <= 10_000 + 500, "a cache of 10000 rows was filled by reading {rows} rows");
    for _ in 0..20 {
        client.get("/cached-queries?count=500");
    }
    assert_eq!(database.world_selects().1, rows, "a filled cache still reads");
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
