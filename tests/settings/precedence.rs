//! Flag before environment before file before default, each level taken away in turn.
//!
//! **Invariant:** each value tells its level, so that a wrong winner shows by its value and by its source.

use super::{bare, file, setting, show};
use crate::harness::{ServerSetup, TestDatabase};

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let (_folder, path) =
        file("port = 1003\npool-per-core = 5.3\nidle-timeout = \"13s\"\ndispatch = \"exclusive\"\n");
    let with_file = || bare().arg("--config").arg(&path);
    let with_environment = |setup: ServerSetup| {
        setup.env("PORT", "1002").env("PLIMSOLL_POOL_PER_CORE", "5.2").env("PLIMSOLL_IDLE_TIMEOUT", "12s")
    };
    let flags = ["--port", "1001", "--pool-per-core", "5.1", "--idle-timeout", "11s"];
    let all = show(with_environment(with_file()).args(&flags));
    let no_flags = show(with_environment(with_file()));
    let only_file = show(with_file());
    let nothing = show(bare());
    for (name, values) in [
        ("port", ["1001", "1002", "1003", "8080"]),
        ("pool-per-core", ["5.1", "5.2", "5.3", "4"]),
        ("idle-timeout", ["11s", "12s", "13s", "75s"]),
    ] {
        let levels =
            [(&all, "flag"), (&no_flags, "environment"), (&only_file, "file"), (&nothing, "default")];
        for ((finished, source), expected) in levels.into_iter().zip(values) {
            let (value, from) = setting(finished, name);
            assert_eq!(value, expected, "{name} by {source}");
            assert!(from.contains(source), "{name} by {source}: {from}");
        }
    }
    assert_eq!(setting(&no_flags, "dispatch").0, "exclusive", "the file's where nothing else is said");
}

#[test]
fn the_defaults_are_those_of_the_interface() {
    let shown = show(bare());
    for (name, value) in [
        ("host", "127.0.0.1"),
        ("port", "8080"),
        ("sched", "normal"),
        ("pin", "off"),
        ("pool-per-core", "4"),
        ("dispatch", "pipelined"),
        ("driver", "tokio-postgres"),
        ("statements", "cached"),
        ("request-deadline", "3s"),
        ("idle-timeout", "75s"),
        ("header-timeout", "10s"),
        ("drain-grace", "1s"),
        ("drain-deadline", "1.8s"),
        ("max-replica-lag", "10s"),
        ("reads", "prefer-replica"),
        ("connection-max-age", "30m"),
    ] {
        let (shown, from) = setting(&shown, name);
        assert_eq!(shown, value, "{name}");
        assert!(from.contains("default"), "{name}: {from}");
    }
}

#[test]
fn keys_of_the_file_are_the_flags_names_with_dashes_or_underscores() {
    let (_folder, path) = file(
        "pool_per_core = 5\ndrain-grace = \"0.5s\"\nheader_timeout = '1500ms'\nworkers = 3\nsched = \"batch\"\n",
    );
    let shown = show(bare().arg("--config").arg(&path));
    assert_eq!(setting(&shown, "pool-per-core").0, "5");
    assert_eq!(setting(&shown, "drain-grace").0, "0.5s");
    assert_eq!(setting(&shown, "header-timeout").0, "1500ms");
    assert_eq!(setting(&shown, "workers").0, "3");
    assert_eq!(setting(&shown, "sched").0, "batch");
    assert!(setting(&shown, "workers").1.contains(path.to_str().unwrap()), "the file is named");
}

#[test]
fn every_flag_of_the_help_has_a_line_in_show_config() {
    let help = ServerSetup::of(&["serve", "--help"]).run();
    assert_eq!(help.code, Some(0));
    let shown = show(bare());
    let words = help.stdout.split_whitespace().map(str::trim_start);
    let flags = words
        .filter_map(|word| word.strip_prefix("--"))
        .map(|flag| flag.split(['=', '[', ',', '.', ';', ')']).next().unwrap());
    let flags: std::collections::BTreeSet<&str> = flags.filter(|flag| flag.len() > 1).collect();
    assert!(flags.contains("pool-per-core") && flags.contains("drain-deadline"), "{flags:?}");
    for flag in flags.into_iter().filter(|flag| !["help", "version", "config", "show-config"].contains(flag))
    {
        setting(&shown, flag);
    }
}

#[test]
fn the_file_is_in_force_and_not_only_shown() {
    let database = TestDatabase::create();
    let text = format!("database-url = \"{}\"\nport = 0\nworkers = 3\npool-per-core = 5\n", database.url());
    let (_folder, path) = file(&text);
    let server = bare().arg("--config").arg(&path).start();
    let workers =
        server.wait_for_line("workers", |line| line.trim().strip_prefix("workers").map(str::to_owned));
    assert!(workers.trim().starts_with('3'), "{workers}");
    let pool = server.wait_for_line("pool", |line| line.trim().strip_prefix("pool").map(str::to_owned));
    assert!(pool.contains("5 per core"), "{pool}");
    assert_eq!(server.connect().get("/db").status, 200);
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    let (_folder, path) = file("port = 1234\n");
    let shown = show(bare().env("PLIMSOLL_CONFIG", &path));
    assert_eq!(setting(&shown, "port").0, "1234");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let shown =
        show(bare().env("PORT", "").env("DATABASE_URL", "").env("PLIMSOLL_WORKERS", "").env("PGHOST", ""));
    assert_eq!(setting(&shown, "port").0, "8080");
    assert!(setting(&shown, "port").1.contains("default"));
    assert!(setting(&shown, "workers").1.contains("default"));
}

#[test]
fn environment_names_are_plimsoll_and_the_flag_in_capitals() {
    let shown = show(
        bare()
            .env("HOST", "0.0.0.0")
            .env("DATABASE_URL", "postgres://db/rows")
            .env("DATABASE_MAX_CONN", "50")
            .env("PLIMSOLL_DISPATCH", "exclusive")
            .env("PLIMSOLL_STATEMENTS", "unnamed")
            .env("PLIMSOLL_DRIVER", "tokio-postgres")
            .env("PLIMSOLL_WORKERS", "7")
            .env("PLIMSOLL_SCHED", "batch")
            .env("PLIMSOLL_PIN", "on")
            .env("PLIMSOLL_REQUEST_DEADLINE", "4s")
            .env("PLIMSOLL_HEADER_TIMEOUT", "5s")
            .env("PLIMSOLL_DRAIN_GRACE", "100ms")
            .env("PLIMSOLL_DRAIN_DEADLINE", "9s")
            .env("PLIMSOLL_MAX_WAITING", "99")
            .env("PLIMSOLL_DATABASE_WAIT", "8s"),
    );
    for (name, value) in [
        ("host", "0.0.0.0"),
        ("database-url", "postgres://db/rows"),
        ("database-max-conn", "50"),
        ("dispatch", "exclusive"),
        ("statements", "unnamed"),
        ("driver", "tokio-postgres"),
        ("workers", "7"),
        ("sched", "batch"),
        ("pin", "on"),
        ("request-deadline", "4s"),
        ("header-timeout", "5s"),
        ("drain-grace", "100ms"),
        ("drain-deadline", "9s"),
        ("max-waiting", "99"),
        ("database-wait", "8s"),
    ] {
        let (shown, from) = setting(&shown, name);
        assert_eq!(shown, value, "{name}");
        assert!(from.contains("environment"), "{name}: {from}");
    }
}
