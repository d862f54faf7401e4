//! Tables that are missing, ours, and somebody else's.
//!
//! **Invariant:** every outcome is checked against what is then in the database.

use plimsoll::database::schema::Outcome;

use super::Database;
use crate::embedded::converse;

const SCHEMA: &str = include_str!("../../sql/schema.sql");
const SEED: &str = include_str!("../../sql/seed.sql");
/// The tables as the TechEmpower toolset makes them, with other names for the types.
const FOREIGN_WORLD: &str = "CREATE TABLE World (id int4 PRIMARY KEY, randomNumber int4 NOT NULL DEFAULT 0);
    INSERT INTO World SELECT n, n FROM generate_series(1, 10000) n;";
const COUNTS: &str = "SELECT (SELECT count(*) FROM world) || ' ' || (SELECT count(*) FROM fortune)";

#[test]
fn an_empty_database_gets_both_tables() {
    let database = Database::new();
    assert_eq!(database.load_well(), [Outcome::Created { rows: 10_000 }, Outcome::Created { rows: 12 }]);
    assert_eq!(database.ask(COUNTS), "10000 12");
    let spread = "SELECT (min(randomnumber) >= 1 AND max(randomnumber) <= 10000)::text FROM world";
    assert_eq!(database.ask(spread), "true");
    assert_eq!(database.ask("SELECT message FROM fortune WHERE id = 12"), "フレームワークのベンチマーク");
}

#[test]
fn a_second_run_changes_nothing() {
    let database = Database::new();
    database.load_well();
    database.execute("UPDATE world SET randomnumber = 4711");
    let report = database.load().unwrap();
    assert!(!report.changed());
    let expected =
        "public.world: ours and complete; left as it is\npublic.fortune: ours and complete; left as it is";
    assert_eq!(report.to_string(), expected);
    assert_eq!(database.ask("SELECT (every(randomnumber = 4711))::text FROM world"), "true");
}

#[test]
fn missing_rows_are_added_and_the_others_left() {
    let database = Database::new();
    database.load_well();
    database.execute("UPDATE world SET randomnumber = 4711; DELETE FROM world WHERE id > 9000;");
    database.execute("DELETE FROM fortune WHERE id = 11; UPDATE fortune SET message = 'mine' WHERE id = 1;");
    let outcomes = database.load_well();
    assert_eq!(outcomes, [Outcome::FilledUp { added: 1000 }, Outcome::FilledUp { added: 1 }]);
    assert_eq!(database.ask(COUNTS), "10000 12");
    assert_eq!(database.ask("SELECT (every(randomnumber = 4711))::text FROM world WHERE id <= 9000"), "true");
    assert_eq!(database.ask("SELECT message FROM fortune WHERE id = 1"), "mine");
}

#[test]
fn somebody_elses_table_that_fits_is_left_as_it_is() {
    let database = Database::with(FOREIGN_WORLD);
    assert_eq!(database.load_well(), [Outcome::NotOurs, Outcome::Created { rows: 12 }]);
    assert_eq!(database.ask("SELECT (every(randomnumber = id))::text FROM world"), "true");
    assert_eq!(database.ask("SELECT coalesce(obj_description('world'::regclass), 'none')"), "none");
}

#[test]
fn somebody_elses_fortunes_are_compared_by_their_texts() {
    let database = Database::new();
    database.load_well();
    database.execute("COMMENT ON TABLE fortune IS NULL");
    assert_eq!(database.load_well()[1], Outcome::NotOurs);
    database.execute("UPDATE fortune SET message = 'other' WHERE id = 9");
    let refusal = database.refusal();
    assert!(refusal.contains("its row 9 does not say `Feature: A bug with seniority.`"), "{refusal}");
}

#[test]
fn somebody_elses_table_of_another_shape_is_refused_and_nothing_is_changed() {
    let database =
        Database::with("CREATE TABLE world (id integer, name text); INSERT INTO world VALUES (1, 'x')");
    let refusal = database.refusal();
    let expected = "table public.world was not made by plimsoll: it has no column randomnumber (integer). \
                    Nothing was changed.";
    assert!(refusal.starts_with(expected), "{refusal}");
    assert_eq!(database.ask("SELECT string_agg(relname, ' ') FROM pg_class WHERE relname = 'fortune'::name OR relname = 'world'"), "world");
}

#[test]
fn somebody_elses_table_with_other_rows_is_refused() {
    let database = Database::with(FOREIGN_WORLD);
    database.execute("DELETE FROM world WHERE id = 17");
    let refusal = database.refusal();
    assert_eq!(database.ask("SELECT count(*)::text FROM world"), "9999");
    assert!(refusal.contains("it has 9999 rows, 9999 of the ids 1 to 10000"), "{refusal}");
    database.execute("INSERT INTO world SELECT n, 1 FROM generate_series(10001, 30000) n");
    let refusal = database.refusal();
    assert!(refusal.contains("it has at least 10001 rows"), "{refusal}");
}

#[test]
fn a_view_is_refused() {
    let database = Database::with("CREATE VIEW fortune AS SELECT 1 AS id, 'x'::text AS message");
    assert!(database.refusal().contains("public.fortune was not made by plimsoll: it is a view"));
}

#[test]
fn a_table_of_ours_that_was_altered_is_refused() {
    let database = Database::new();
    database.load_well();
    database.execute("ALTER TABLE world ALTER randomnumber TYPE bigint");
    let refusal = database.refusal();
    assert!(
        refusal.contains("has been altered: its column randomnumber is bigint, wanted integer"),
        "{refusal}"
    );
}

#[test]
fn tables_are_made_where_the_search_path_leads() {
    let database = Database::with("CREATE SCHEMA apart");
    database.execute(&format!("ALTER DATABASE {} SET search_path = apart, public", database.name));
    let report = database.load().unwrap().to_string();
    assert_eq!(report, "apart.world: created with 10000 rows\napart.fortune: created with 12 rows");
    database.execute(&format!("ALTER DATABASE {} SET search_path = nowhere", database.name));
    assert!(database.refusal().starts_with("no schema of the search_path exists"));
}

#[test]
fn several_runs_at_once_all_succeed() {
    let database = Database::new();
    let config = database.config();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    converse(&config, async |client| plimsoll::database::schema::load(client).await)
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap().unwrap()).collect()
    });
    assert_eq!(
        outcomes.iter().filter(|report| report.changed()).count(),
        1,
        "one made them, the others found them"
    );
    assert_eq!(database.ask(COUNTS), "10000 12");
}

#[test]
fn a_role_that_may_not_create_is_told_what_to_do() {
    let database = Database::new();
    database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let mut config = database.config();
    config.user("postgres");
    converse(&config, async |client| {
        client.batch_execute("ALTER SCHEMA public OWNER TO postgres; REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC").await.unwrap();
    });
    let refusal = database.refusal();
    assert!(
        refusal.contains("permission denied for schema public") && refusal.contains("GRANT CREATE"),
        "{refusal}"
    );
}

#[test]
fn a_database_that_only_reads_will_do_if_it_has_everything() {
    let database = Database::new();
    let read_only = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name);
    database.execute(&read_only);
    let refusal = database.refusal();
    assert!(refusal.contains("only reads"), "{refusal}");
    converse(&database.config(), async |client| {
        client.batch_execute("SET default_transaction_read_only = off").await.unwrap();
        plimsoll::database::schema::load(client).await.unwrap();
    });
    assert_eq!(database.load_well(), [Outcome::Complete, Outcome::Complete]);
}

#[test]
fn the_scripts_can_be_run_by_hand_any_number_of_times() {
    let database = Database::new();
    for _ in 0..2 {
        database.execute(SCHEMA);
        database.execute(SEED);
    }
    assert_eq!(database.ask(COUNTS), "10000 12");
    assert_eq!(database.load_well(), [Outcome::Complete, Outcome::Complete]);
}

#[test]
fn the_scripts_leave_somebody_elses_tables_alone() {
    let database = Database::with("CREATE TABLE world (id text); CREATE TABLE fortune (x integer)");
    database.execute(SCHEMA);
    database.execute(SEED);
    assert_eq!(database.ask(COUNTS), "0 0");
}
