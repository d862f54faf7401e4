//! `--nodes`: what several services want of a database, host by host.
//!
//! **Invariant:** the sums are checked against what PostgreSQL itself says it allows.

use serde_json::Value;

use super::json;
use super::machine::Machine;
use crate::harness::{Cluster, Finished, TestDatabase, unused_port};

/// Asks about so many nodes at this database, of few connections each.
fn ask(nodes: &str, url: &str, more: &[&str]) -> Finished {
    let words = [&["--connections", "100", "--nodes", nodes, "--pool-per-core", "0.1"], more].concat();
    Machine::new().doctor(&words).env("DATABASE_URL", url).run()
}

#[test]
fn the_plans_of_all_nodes_are_added_up_and_held_against_what_the_database_allows() {
    let database = TestDatabase::create();
    let setting = |name: &str| -> u64 {
        database.admin().number(&format!("SELECT current_setting('{name}')::int8")).try_into().unwrap()
    };
    let usable = setting("max_connections") - setting("superuser_reserved_connections");
    let answer = |nodes: u64| {
        let run = ask(&nodes.to_string(), &database.url(), &["--json"]);
        (run.code, json(&run))
    };
    let (code, one) = answer(1);
    assert_eq!((code, &one["nodes"]["fits"]), (Some(0), &Value::Bool(true)), "{one}");
    let each = one["nodes"]["databases"][0]["wanted"].as_u64().unwrap();
    let parts = ["connections_each", "reload_overlap_each", "beside_each"];
    let part = |part: &str| one["nodes"]["databases"][0][part].as_u64().unwrap();
    assert_eq!(parts.map(part).iter().sum::<u64>(), each, "{one}");
    for (nodes, fits) in [(usable / each, true), (usable / each + 1, false)] {
        let (code, all) = answer(nodes);
        let found = &all["nodes"]["databases"][0];
        assert_eq!(found["wanted"], nodes * each, "{found}");
        assert_eq!((&found["usable"], &found["fits"]), (&usable.into(), &fits.into()), "{found}");
        assert_eq!((code == Some(0), &all["fits"]), (fits, &fits.into()), "{all}");
    }
}

#[test]
fn where_there_is_no_room_the_sum_and_what_mends_it_are_named_and_the_verdict_comes_last() {
    let database = TestDatabase::create();
    let run = ask("5000", &database.url(), &[]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let line = |words: &str| run.stdout.lines().find(|line| line.contains(words)).unwrap_or_default();
    assert!(line("nodes      ").contains("5 000 like this one"), "{}", run.stdout);
    assert!(line("STOPS: ").contains(" of 297 (300 allowed, 3 reserved)"), "{}", run.stdout);
    let mend = line("→ no more than");
    assert!(mend.contains("max_connections = ") && mend.contains("PgBouncer"), "{}", run.stdout);
    let last = run.stdout.lines().last().unwrap_or_default();
    assert!(last.starts_with("No: there is no room for 5 000 such nodes at 127.0.0.1:"), "{last}");
}

#[test]
fn each_host_is_asked_by_itself_whatever_it_is_and_one_that_is_not_reached_is_no_yes() {
    let database = TestDatabase::create();
    let (alive, dead) = (Cluster::shared().port(), unused_port());
    let url = |ports: [u16; 2]| {
        let [first, second] = ports;
        format!(
            "postgres://plimsoll:hunter2@127.0.0.1:{first},127.0.0.1:{second}/{}?sslmode=disable\
             &target_session_attrs=standby",
            database.name()
        )
    };
    let run = ask("1", &url([alive, dead]), &["--json"]);
    let answer = json(&run);
    let found = answer["nodes"]["databases"].as_array().unwrap();
    let at = |port: u16| {
        let address = format!("127.0.0.1:{port}");
        found.iter().find(|database| database["address"] == address).expect("each host once")
    };
    assert_eq!((run.code, found.len()), (Some(1), 2), "{answer}");
    assert_eq!((&at(alive)["fits"], &at(dead)["fits"]), (&Value::Bool(true), &Value::Null), "{answer}");
    assert!(at(dead)["not_reached"].is_string(), "{answer}");
    assert!(!format!("{run:?}").contains("hunter2"), "{run:?}");
}

#[test]
fn a_host_that_is_written_and_read_has_both_sides_of_each_node_and_one_that_is_only_read_one() {
    let database = TestDatabase::create();
    let other = Cluster::start(30);
    other.make_rows();
    let reads = format!(
        "postgres://plimsoll:secret@127.0.0.1:{},127.0.0.1:{}/rows?sslmode=disable&load_balance_hosts=random",
        Cluster::shared().port(),
        other.port()
    );
    // The shared cluster has no database of that name: it is asked by the first address, which has.
    let run = ask("2", &database.url(), &["--json", "--database-read-url", &reads]);
    let answer = json(&run);
    let found = answer["nodes"]["databases"].as_array().unwrap();
    let of = |reads: bool, writes: bool| {
        let is_it = |database: &&Value| database["reads"] == reads && database["writes"] == writes;
        found.iter().find(is_it).unwrap_or_else(|| panic!("{answer}"))["wanted"].as_u64().unwrap()
    };
    let (both, read) = (of(true, true), of(true, false));
    // Two nodes, each with a session that asks beside the sides.
    assert_eq!((run.code, both - 2), (Some(0), 2 * (read - 2)), "{answer}");
    let run = ask("2", &database.url(), &["--database-read-url", &reads]);
    assert!(
        run.stdout.contains(", written and read: holds") && run.stdout.contains(", read: holds"),
        "{run:?}"
    );
}

#[test]
fn the_bound_that_each_node_is_to_have_is_taken_into_the_sum() {
    let database = TestDatabase::create();
    let cores = std::thread::available_parallelism().unwrap().to_string();
    let wanted = |more: &[&str]| {
        let words = ["--connections", "100", "--nodes", "2", "--processes", "1", "--json"];
        let run = Machine::new().doctor(&[&words, more].concat()).env("DATABASE_URL", database.url()).run();
        json(&run)["nodes"]["databases"][0]["wanted"].as_u64().unwrap()
    };
    let (free, bound) = (wanted(&[]), wanted(&["--database-max-conn", &cores]));
    assert!(bound < free, "{bound} of {free}");
    assert_eq!(bound, 2 * (cores.parse::<u64>().unwrap() + 1), "and a session that asks");
}

#[test]
fn nodes_without_a_database_are_no_question() {
    let run = Machine::new().doctor(&["--nodes", "3"]).run();
    assert_eq!(run.code, Some(78), "{run:?}");
    assert!(run.stderr.contains("--database-url"), "{run:?}");
}
