//! The toolset's count: 512 one-shot requests at once, and not one statement or row more or less than they ask for.
//!
//! **Invariant:** counts are PostgreSQL's own, and start before the server's first query.

use std::time::Duration;

use super::MODES;
use crate::harness::{ServerSetup, TestDatabase, TestServer, answers_at_once, get, wait_until, worlds};

const AT_ONCE: usize = 512;
const ROWS: usize = 20;

/// Calls and rows of the SELECTs, and rows of the UPDATEs.
fn counted(database: &TestDatabase) -> (i64, i64, i64) {
    let updated: i64 = database
        .statements()
        .iter()
        .filter(|statement| statement.is_world_update())
        .map(|one| one.rows)
        .sum();
    let (calls, rows) = database.world_selects();
    (calls, rows, updated)
}

/// Asks 512 times at once and compares the counts; a count may lag behind its answer by a moment.
fn ask_and_count(server: &TestServer, database: &TestDatabase, route: &str, updates: bool) {
    let before = counted(database);
    let targets = vec![format!("{route}?queries={ROWS}"); AT_ONCE];
    for response in answers_at_once(server, &targets) {
        assert_eq!(response.status, 200, "{route}: {response:?}\n{}", server.stderr());
        assert_eq!(worlds(&response).len(), ROWS);
    }
    let all = i64::try_from(AT_ONCE * ROWS).unwrap();
    let expected = (before.0 + all, before.1 + all, before.2 + if updates { all } else { 0 });
    wait_until("the counts of PostgreSQL", Duration::from_secs(5), || {
        let counted = counted(database);
        (counted >= expected).then_some(())
    });
    assert_eq!(counted(database), expected, "{route}: SELECT calls, SELECT rows, UPDATE rows");
}

fn open_with_one_request(database: &TestDatabase, mode: &[&str]) -> TestServer {
    // 512 requests of 40 statements each on an unoptimised build: the deadline is not what is tested.
    let server = ServerSetup::with_database(database).args(mode).args(&["--request-deadline", "60s"]).start();
    assert_eq!(get(&server, "/db").status, 200);
    server
}

#[test]
fn updates_512_at_once_cost_exactly_20_selects_and_20_updated_rows_each() {
    for mode in MODES {
        let database = TestDatabase::create();
        let server = open_with_one_request(&database, mode);
        ask_and_count(&server, &database, "/updates", true);
    }
}

#[test]
fn queries_512_at_once_cost_exactly_20_selects_each() {
    for mode in MODES {
        let database = TestDatabase::create();
        let server = open_with_one_request(&database, mode);
        ask_and_count(&server, &database, "/queries", false);
    }
}

#[test]
fn both_counts_hold_with_the_default_settings() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    ask_and_count(&server, &database, "/queries", false);
    ask_and_count(&server, &database, "/updates", true);
}

#[test]
fn the_db_route_costs_one_select_of_one_row() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    let (calls, rows) = database.world_selects();
    for _ in 0..100 {
        assert_eq!(client.get("/db").status, 200);
    }
    wait_until("the counts of PostgreSQL", Duration::from_secs(5), || {
        (database.world_selects().0 >= calls + 100).then_some(())
    });
    assert_eq!(database.world_selects(), (calls + 100, rows + 100));
}
