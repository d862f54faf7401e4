//! Settings that stop the start: 78 for a value, 2 for words, 71 for an address.
//!
//! **Invariant:** each refusal names what it refuses, and nothing is served before it.

use std::net::TcpListener;

use super::{bare, file};
use crate::harness::{Finished, ServerSetup, TestServer, unused_port};

/// Runs to its end and expects a code and these words on standard error.
fn expect(setup: ServerSetup, code: i32, words: &[&str]) -> Finished {
    let finished = setup.run();
    assert_eq!(finished.code, Some(code), "{words:?}: {finished:?}");
    for word in words {
        assert!(finished.stderr.contains(word), "no {word:?} in\n{}", finished.stderr);
    }
    assert!(!finished.stderr.contains("listening  http"), "{}", finished.stderr);
    finished
}

#[test]
fn a_bad_value_is_78_wherever_it_comes_from() {
    for (flag, variable, value) in [
        ("--port", "PORT", "80800"),
        ("--port", "PORT", "http"),
        ("--host", "HOST", "999.1.1.1"),
        ("--pool-per-core", "PLIMSOLL_POOL_PER_CORE", "many"),
        ("--pool-per-core", "PLIMSOLL_POOL_PER_CORE", "0"),
        ("--pool-per-core", "PLIMSOLL_POOL_PER_CORE", "NaN"),
        ("--database-max-conn", "DATABASE_MAX_CONN", "0"),
        ("--database-max-conn", "DATABASE_MAX_CONN", "few"),
        ("--workers", "PLIMSOLL_WORKERS", "0"),
        ("--sched", "PLIMSOLL_SCHED", "fifo"),
        ("--pin", "PLIMSOLL_PIN", "2"),
        ("--dispatch", "PLIMSOLL_DISPATCH", "both"),
        ("--statements", "PLIMSOLL_STATEMENTS", "prepared"),
        ("--driver", "PLIMSOLL_DRIVER", "libpq"),
        ("--request-deadline", "PLIMSOLL_REQUEST_DEADLINE", "3"),
        ("--request-deadline", "PLIMSOLL_REQUEST_DEADLINE", "0s"),
        ("--idle-timeout", "PLIMSOLL_IDLE_TIMEOUT", "soon"),
        ("--header-timeout", "PLIMSOLL_HEADER_TIMEOUT", "1 fortnight"),
        ("--drain-deadline", "PLIMSOLL_DRAIN_DEADLINE", "99999h"),
    ] {
        expect(bare().arg(format!("{flag}={value}")), 78, &[flag, value]);
        expect(bare().env(variable, value), 78, &[variable, value]);
        let (_folder, path) = file(&format!("{} = '{value}'\n", flag.trim_start_matches('-')));
        expect(
            bare().arg("--config").arg(&path),
            78,
            &[flag.trim_start_matches('-'), value, "plimsoll.toml"],
        );
    }
}

#[test]
fn settings_of_replicas_are_refused_where_they_mean_nothing() {
    let with = |reads: &str| {
        bare().env("DATABASE_URL", "postgres://me@127.0.0.1:1/x").env("DATABASE_READ_URL", reads)
    };
    expect(bare().arg("--max-replica-lag=5s"), 78, &["--max-replica-lag", "--database-read-url"]);
    expect(bare().env("PLIMSOLL_READS", "replica-only"), 78, &["--reads", "--database-read-url"]);
    let alone = bare().env("DATABASE_READ_URL", "postgres://me@127.0.0.1:1/x");
    expect(alone, 78, &["--database-read-url", "no primary is named", "--database-url"]);
    expect(with("postgres:///x"), 78, &["--database-read-url", "names no host", "load_balance_hosts=random"]);
    let writing = "postgres://me:s3cret@127.0.0.1:1/x?target_session_attrs=read-write";
    let finished = expect(with(writing), 78, &["--database-read-url", "read-write", "prefer-standby"]);
    assert!(!finished.stderr.contains("s3cret"), "{}", finished.stderr);
    expect(with("host=a,b port=1,2,3"), 78, &["the numbers of hosts and ports differ"]);
    let lag = with("postgres://me@127.0.0.1:1/x").arg("--max-replica-lag=0.5s");
    expect(lag, 78, &["--max-replica-lag", "1s or longer"]);
    let shown = super::show(with("postgres://me:s3cret@127.0.0.1:1/x?load_balance_hosts=random"));
    assert!(!shown.stdout.contains("s3cret"), "{}", shown.stdout);
    assert!(super::setting(&shown, "database-read-url").0.contains("load_balance_hosts=random"));
}

#[test]
fn the_direct_driver_is_refused_with_what_it_cannot_do() {
    for other in ["--dispatch=exclusive", "--statements=unnamed"] {
        let (flag, value) = other.split_once('=').unwrap();
        expect(
            bare().args(&["--driver=direct", other]),
            78,
            &["--driver direct", &format!("{flag} {value}")],
        );
    }
}

#[test]
fn a_negative_value_is_refused_and_not_taken_for_a_flag_of_its_own() {
    for argument in ["--workers=-1", "--pool-per-core=-4", "--request-deadline=-3s", "--port=-1"] {
        expect(bare().arg(argument), 78, &[]);
    }
}

#[test]
fn an_unknown_flag_or_command_or_none_is_2() {
    for words in [
        &["serve", "--no-such-flag"][..],
        &["serve", "--port"],
        &["serve", "extra"],
        &["serve", "--port", "1", "--port", "2"],
        &["sing"],
        &[],
    ] {
        expect(ServerSetup::of(words), 2, &[]);
    }
}

#[test]
fn an_unknown_key_in_the_file_is_78_and_named() {
    for text in ["pool-per-cpu = 4\n", "port = 1\nprot = 2\n", "[serve]\nport = 1\n", "show-config = true\n"]
    {
        let (_folder, path) = file(text);
        expect(bare().arg("--config").arg(&path), 78, &["plimsoll.toml"]);
    }
    for text in ["port = [1, 2]\n", "workers = []\n"] {
        let (_folder, path) = file(text);
        expect(bare().arg("--config").arg(&path), 78, &["plimsoll.toml", "one value"]);
    }
    let (_folder, path) = file("pool-per-cpu = 4\n");
    expect(bare().arg("--config").arg(&path), 78, &["pool-per-cpu", "pool-per-core"]);
}

#[test]
fn a_file_that_is_broken_or_missing_is_78() {
    let (_folder, path) = file("port = \n");
    expect(bare().arg("--config").arg(&path), 78, &["plimsoll.toml"]);
    expect(bare().args(&["--config", "/no/such/plimsoll.toml"]), 78, &["/no/such/plimsoll.toml"]);
    expect(bare().env("PLIMSOLL_CONFIG", "/no/such/plimsoll.toml"), 78, &["/no/such/plimsoll.toml"]);
    let (folder, _path) = file("");
    expect(bare().arg("--config").arg(folder.path()), 78, &[]);
}

#[test]
fn a_port_in_use_is_71() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    expect(bare().env("DATABASE_URL", &url).args(&["--port", &port]), 71, &[&port, "in use"]);
}

#[test]
fn the_port_of_another_plimsoll_is_in_use_too() {
    let first = TestServer::without_database();
    let port = first.address().port().to_string();
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    // Two services that share a port by SO_REUSEPORT would each get half of the connections, and nobody would notice.
    expect(bare().env("DATABASE_URL", &url).args(&["--port", &port]), 71, &[&port]);
}

#[test]
fn an_address_that_is_not_this_machines_is_71() {
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    // TEST-NET-1, RFC 5737: nobody's.
    expect(
        bare().env("DATABASE_URL", &url).args(&["--host", "192.0.2.1", "--port", "0"]),
        71,
        &["192.0.2.1"],
    );
}

#[test]
fn settings_of_the_private_postgresql_with_a_database_url_are_78() {
    let url = "postgres://nobody@127.0.0.1:1/none";
    for words in [["--data-dir", "/tmp/nowhere"], ["--pg-bin", "/usr/bin"], ["--private-pg-tcp", "5999"]] {
        expect(bare().env("DATABASE_URL", url).args(&words), 78, &[words[0]]);
        expect(bare().env("PGHOST", "127.0.0.1").args(&words), 78, &[words[0]]);
        expect(bare().args(&["--database-url", url]).args(&words), 78, &[words[0]]);
    }
    expect(bare().env("DATABASE_URL", url).env("PLIMSOLL_DATA_DIR", "/tmp/nowhere"), 78, &[]);
}

#[test]
fn fewer_database_connections_than_workers_are_78_with_both_numbers() {
    let url = "postgres://nobody@127.0.0.1:1/none";
    let finished = expect(
        bare().env("DATABASE_URL", url).env("DATABASE_MAX_CONN", "3").args(&["--workers", "5"]),
        78,
        &[],
    );
    assert!(finished.stderr.contains('3') && finished.stderr.contains('5'), "{}", finished.stderr);
}

#[test]
fn a_grace_longer_than_the_deadline_is_78() {
    expect(
        bare().args(&["--drain-grace", "5s", "--drain-deadline", "1s"]),
        78,
        &["drain-grace", "drain-deadline"],
    );
}

#[test]
fn a_broken_database_url_is_78_and_its_password_is_not_shown() {
    for url in [
        "postgres://me:hunter2@db:port/x",
        "mysql://me:hunter2@db/x",
        "nonsense",
        "postgres://me:hunter2@db/x?sslmode=verify-full",
        "postgres://me:hunter2@db/x?sslmode=hunter2",
    ] {
        let finished = expect(bare().env("DATABASE_URL", url), 78, &[]);
        assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
    }
}

#[test]
fn a_log_filter_that_cannot_be_read_is_78_like_any_setting() {
    expect(bare().env("RUST_LOG", "plimsoll=loud"), 78, &["RUST_LOG", "plimsoll=loud"]);
}
