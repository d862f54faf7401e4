//! `plimsoll init-db`: fills the database that is named, and says what it did.
//!
//! **Invariant:** exit codes are those of the interface: 0 done, 1 refused, 69 not reached, 78 settings.

use crate::harness::{Finished, ServerSetup, TestDatabase, TestServer, get, unused_port, worlds};

fn init(url: &str) -> Finished {
    ServerSetup::of(&["init-db"]).env("DATABASE_URL", url).run()
}

#[test]
fn an_empty_database_is_filled_and_then_served() {
    let database = TestDatabase::create();
    database.admin().run("DROP TABLE world, fortune");
    let finished = init(&database.url());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("10000") || finished.stdout.contains("10 000"), "{}", finished.stdout);
    assert_eq!(database.admin().number("SELECT count(*) FROM world"), 10_000);
    assert_eq!(database.admin().number("SELECT count(*) FROM fortune"), 12);
    let server = TestServer::on(&database);
    assert_eq!(worlds(&get(&server, "/updates?queries=20")).len(), 20);
}

#[test]
fn a_second_run_changes_nothing() {
    let database = TestDatabase::create();
    database.admin().run("UPDATE world SET randomnumber = 7");
    for _ in 0..2 {
        let finished = init(&database.url());
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }
    assert_eq!(database.admin().number("SELECT count(*) FROM world WHERE randomnumber = 7"), 10_000);
}

#[test]
fn somebody_elses_tables_are_not_touched_and_it_says_so() {
    let database = TestDatabase::create();
    database.admin().run(
        "DROP TABLE world; CREATE TABLE world (name text); INSERT INTO world VALUES ('theirs'); \
         ALTER TABLE world OWNER TO plimsoll",
    );
    let finished = init(&database.url());
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("world"), "{}", finished.stderr);
    assert_eq!(database.admin().number("SELECT count(*) FROM world WHERE name = 'theirs'"), 1);
}

#[test]
fn a_database_that_is_not_reached_is_69() {
    let finished = init(&format!("postgres://me:hunter2@127.0.0.1:{}/none", unused_port()));
    assert_eq!(finished.code, Some(69), "{finished:?}");
    assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
}

#[test]
fn no_database_named_is_78_and_says_how_to_name_one() {
    let finished = ServerSetup::of(&["init-db"]).run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(finished.stderr.contains("DATABASE_URL"), "{}", finished.stderr);
}
