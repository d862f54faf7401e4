//! `/updates`: what the answer says is what the table holds.
//!
//! **Invariant:** each test compares the whole table before and after, so that a row changed beside the answer shows.

use std::collections::{HashMap, HashSet};

use super::{MODES, in_every_mode};
use crate::harness::{ServerSetup, TestDatabase, TestServer, answers_at_once, get, worlds};

#[test]
fn the_numbers_returned_are_what_the_table_holds_afterwards() {
    in_every_mode(|server, database| {
        for count in [1, 2, 20, 500] {
            let before = database.world_numbers();
            let rows = worlds(&get(server, &format!("/updates?queries={count}")));
            let answered: HashMap<i32, i32> = rows.iter().copied().collect();
            assert_eq!(answered.len(), count, "ids within one request are distinct");
            let mut expected = before;
            expected.extend(answered);
            assert_eq!(database.world_numbers(), expected, "{count} rows");
        }
    });
}

#[test]
fn new_numbers_cover_the_whole_range() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    let mut seen = HashSet::new();
    for _ in 0..100 {
        seen.extend(worlds(&client.get("/updates?queries=500")).iter().map(|row| row.1));
    }
    // Of 50 000 draws, about 9 933 different ones are expected.
    assert!(seen.len() > 9_800, "only {} different numbers", seen.len());
    assert!(seen.iter().any(|number| *number <= 10) && seen.iter().any(|number| *number > 9_990));
}

#[test]
fn the_write_has_happened_before_the_answer() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    for _ in 0..50 {
        let (id, number) = worlds(&client.get("/updates?queries=1"))[0];
        let stored: i32 =
            database.admin().rows("SELECT randomnumber FROM world WHERE id = $1", &[&id])[0].get(0);
        assert_eq!(stored, number, "row {id}");
    }
}

#[test]
fn requests_of_mixed_counts_at_once_never_deadlock() {
    for mode in MODES {
        let database = TestDatabase::create();
        let mut server =
            ServerSetup::with_database(&database).args(mode).args(&["--request-deadline", "60s"]).start();
        // Every count from 1 to 500 in steps that mix small and large.
        let targets: Vec<String> =
            (0..160).map(|number| format!("/updates?queries={}", 1 + (number * 187) % 500)).collect();
        for (response, target) in answers_at_once(&server, &targets).iter().zip(&targets) {
            assert_eq!(response.status, 200, "{mode:?} {target}: {response:?}");
            let count: usize = target.rsplit('=').next().unwrap().parse().unwrap();
            assert_eq!(worlds(response).len(), count, "{target}");
        }
        assert_eq!(server.stop().code, Some(0));
        assert_eq!(database.deadlocks(), 0, "{mode:?}");
    }
}

#[test]
fn the_update_statement_does_not_say_select() {
    in_every_mode(|server, database| {
        database.forget_statements();
        get(server, "/updates?queries=20");
        let statements = database.statements();
        let updates: Vec<_> = statements.iter().filter(|statement| statement.is_world_update()).collect();
        assert!(!updates.is_empty(), "{statements:?}");
        for update in updates {
            assert!(!update.text.to_lowercase().contains("select"), "{}", update.text);
        }
    });
}
