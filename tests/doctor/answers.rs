//! What it says, for people and about what is not the kernel's: the database, and the capacity that was measured.
//!
//! **Invariant:** the verdict is the last line.

use super::machine::Machine;
use super::{finding, json};
use crate::harness::{TestDatabase, unused_port};

const ROOM: &str = "max_connections (PostgreSQL)";

#[test]
fn without_a_question_ten_thousand_are_asked_about_and_the_verdict_comes_last() {
    let run = Machine::new().doctor(&[]).run();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.stdout.starts_with("10 000 connections, their clients on other machines\n"),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains('\x1b'), "colours where there is no terminal");
    assert_eq!(
        run.stdout.lines().last(),
        Some(
            "Yes: nothing stops 10 000 connections. This machine holds 262 000 today; net.netfilter.nf_conntrack_max stops it there."
        )
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn colours_are_for_a_terminal_and_no_color_takes_them_away() {
    for (variable, coloured) in [("OTHER", true), ("NO_COLOR", false)] {
        let machine = Machine::new();
        let command = format!(
            "'{}' doctor --system-root '{}'",
            env!("CARGO_BIN_EXE_plimsoll"),
            machine.path("").display()
        );
        let setup = crate::harness::ServerSetup::by("script", &["-qec", &command, "/dev/null"]);
        let run = setup.env(variable, "1").run();
        assert!(run.stdout.contains("holds"), "{run:?}");
        assert_eq!(run.stdout.contains('\x1b'), coloured, "{variable}: {}", run.stdout);
    }
}

#[test]
fn a_measured_capacity_and_a_rate_give_the_clients_that_are_served() {
    let machine = Machine::new();
    let run = machine.doctor(&["--rate", "1", "--capacity", "100000", "--json"]).run();
    let answer = json(&run);
    assert_eq!(answer["capacity"]["clients_served"], 100_000);
    assert_eq!(answer["connections"], 100_000, "the clients are the question");
    assert_eq!(run.code, Some(0), "{run:?}");
    let run =
        machine.doctor(&["--rate", "2", "--capacity", "100000", "--connections", "50001", "--json"]).run();
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(finding(&json(&run), "capacity")["state"], "stops");
    let alone = machine.doctor(&["--rate", "2"]).run();
    assert_eq!(alone.code, Some(2), "{alone:?}");
}

#[test]
fn a_database_that_is_named_is_asked_for_its_room() {
    let machine = Machine::new();
    let database = TestDatabase::create();
    let ask = |connections: &str| {
        let run = machine
            .doctor(&["--connections", connections, "--pool-per-core", "0.1", "--json"])
            .env("DATABASE_URL", database.url())
            .run();
        (run.code, finding(&json(&run), ROOM).clone())
    };
    let (code, room) = ask("1000");
    assert_eq!((code, &room["state"]), (Some(0), &"holds".into()), "{room}");
    assert!(room["is"][0].as_u64() > Some(0), "{room}");
    // More processes than the tests' PostgreSQL has connections, and one in each.
    let (code, room) = ask("255000");
    assert_eq!((code, &room["state"]), (Some(1), &"stops".into()), "{room}");
    assert!(room["needs"][0].as_u64() > room["is"][0].as_u64(), "{room}");
    assert_eq!(room["mend"]["by_apply"], false);
}

#[test]
fn a_database_that_is_not_named_or_not_there_is_said_to_be_unchecked() {
    let machine = Machine::new();
    let nowhere = format!("postgres://me:hunter2@127.0.0.1:{}/none", unused_port());
    for url in [None, Some(nowhere.as_str())] {
        let setup = machine.doctor(&["--json"]);
        let run = match url {
            Some(url) => setup.env("DATABASE_URL", url).run(),
            None => setup.run(),
        };
        let found = finding(&json(&run), ROOM).clone();
        assert_eq!((run.code, &found["state"]), (Some(0), &"not_known".into()), "{found}");
        assert!(found["why"].as_str().is_some_and(|why| why.starts_with("Not checked")), "{found}");
        assert!(!format!("{run:?}").contains("hunter2"), "{run:?}");
    }
    let run = machine.doctor(&["--database-url", "mysql://db/x"]).run();
    assert_eq!(run.code, Some(78), "{run:?}");
}
