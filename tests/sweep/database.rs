//! What a sweep does to the database: a delay in front of it, a sleep within it, and no trace afterwards.
//!
//! **Invariant:** that a wait is real is seen in PostgreSQL's own plans and counts; no upper bound is put on a time.

use rustix::process::Signal;
use serde_json::Value;

use super::{records, tiny};
use crate::harness::{PATIENCE, TestDatabase, wait_until};

/// The sleep and the round trip of these tests, in microseconds.
const WAIT_US: f64 = 20_000.0;

/// How often each part of a plan that is run beforehand ran.
fn initial_loops(plan: &Value, found: &mut Vec<i64>) {
    if plan["Parent Relationship"] == "InitPlan" {
        found.extend(plan["Actual Loops"].as_i64());
    }
    plan["Plans"].as_array().into_iter().flatten().for_each(|part| initial_loops(part, found));
}

#[test]
fn a_query_sleeps_once_whatever_it_reads_and_the_schema_goes_with_the_sweep() {
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    database.forget_statements();
    let words = ["--pool", "2", "--dispatch", "pipelined", "--routes", "/db,/fortunes", "--db-work", "20ms"];
    let mut program = tiny(&database, folder.path()).args(&words).launch();
    let admin = database.admin();
    let find = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'plimsoll_sweep_%'";
    let schema: String =
        wait_until("the schema", PATIENCE, || admin.rows(find, &[]).first().map(|row| row.get(0)));
    for (query, rows) in [("world WHERE id = 1", 1), ("world WHERE id = 0", 0), ("fortune", 12)] {
        let explain = format!("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT * FROM {schema}.{query}");
        let text: String = admin.text(&explain);
        let plan: Value = serde_json::from_str(&text).unwrap();
        let plan = &plan[0]["Plan"];
        let mut loops = Vec::new();
        initial_loops(plan, &mut loops);
        assert_eq!(
            (loops, plan["Actual Rows"].as_f64()),
            (vec![1], Some(f64::from(rows))),
            "{query}: {plan}"
        );
    }
    let finished = program.wait(PATIENCE);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let slept = "SELECT count(*)::int8 FROM pg_stat_statements WHERE userid = 'plimsoll'::regrole AND min_exec_time >= 20 AND calls > 1 \
                 AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query LIKE 'SELECT id,%'";
    assert_eq!(admin.number(slept), 2, "both statements slept each time");
    assert!(
        records(folder.path()).iter().all(|record| record["reading"]["p50_us"].as_f64() >= Some(WAIT_US))
    );
    assert!(admin.rows(find, &[]).is_empty(), "the schema is left");
}

#[test]
fn an_interrupted_sweep_takes_its_schema_away() {
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    let mut program = tiny(&database, folder.path()).args(&["--db-work", "1ms"]).launch();
    let count = "SELECT count(*)::int8 FROM pg_namespace WHERE nspname LIKE 'plimsoll_sweep_%'";
    wait_until("the schema", PATIENCE, || (database.admin().number(count) == 1).then_some(()));
    program.signal(Signal::TERM);
    assert_eq!(program.wait(PATIENCE).code, Some(1));
    assert_eq!(database.admin().number(count), 0);
}

#[test]
fn two_sweeps_of_one_database_leave_each_other_alone() {
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    // What a killed sweep, or one of another machine, has left.
    database.admin().run("CREATE SCHEMA plimsoll_sweep_1 AUTHORIZATION plimsoll");
    let launch = |name: &str| {
        tiny(&database, &folder.path().join(name)).args(&["--pool", "2", "--db-work", "1ms"]).launch()
    };
    let mut sweeps = [launch("one"), launch("two")];
    let count = "SELECT count(*)::int8 FROM pg_namespace WHERE nspname LIKE 'plimsoll_sweep_%'";
    wait_until("both schemas", PATIENCE, || (database.admin().number(count) == 3).then_some(()));
    for sweep in &mut sweeps {
        let finished = sweep.wait(PATIENCE);
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }
    assert_eq!(database.admin().number(count), 1, "each took its own away");
}

#[test]
fn a_schema_that_may_not_be_made_is_78_and_the_right_is_named() {
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    let name = database.name();
    database.admin().run(&format!(
        "ALTER DATABASE {name} OWNER TO CURRENT_USER; GRANT CONNECT ON DATABASE {name} TO plimsoll"
    ));
    let refused = tiny(&database, folder.path()).args(&["--db-work", "1ms"]).run();
    assert_eq!(refused.code, Some(78), "{refused:?}");
    let mend = format!("GRANT CREATE ON DATABASE {name} TO plimsoll");
    assert!(
        refused.stderr.contains(&mend) && !refused.stderr.contains("stays in the database"),
        "{refused:?}"
    );
    database.admin().run(&mend);
    let words = ["--db-work", "1ms", "--pool", "2", "--dispatch", "pipelined"];
    assert_eq!(tiny(&database, folder.path()).args(&words).run().code, Some(0));
}

#[test]
fn a_database_that_is_far_away_answers_no_sooner() {
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    let finished = tiny(&database, folder.path()).args(&["--pool", "2", "--db-rtt", "20ms"]).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for record in records(folder.path()) {
        let reading = &record["reading"];
        assert!(reading["p50_us"].as_f64() >= Some(WAIT_US), "{record}");
        assert!(reading["delay_cpu_us"].is_number() && reading["failed"] == 0, "{record}");
    }
}
