//! What `load` prints, where, and with which exit code.
//!
//! **Invariant:** standard output holds the report alone; all else goes to standard error.

use rustix::process::Signal;

use super::stand_in::{OK, Reaction, StandIn};
use super::{load, load_json, number};
use crate::harness::{PATIENCE, ServerSetup, wait_until};

fn quick() -> StandIn {
    StandIn::start(|_| Reaction::Bytes(OK))
}

#[test]
fn a_condition_that_holds_is_3_and_is_named() {
    let server = quick();
    let finished =
        load(&["-c1", "-n", "5", "--fail-if", "rate<0", "--fail-if", "raw.p99.9>=0s", &server.url()]);
    assert_eq!(finished.code, Some(3), "{finished:?}");
    assert!(finished.stderr.contains("raw.p99.9>=0s") && !finished.stderr.contains("rate<0"), "{finished:?}");
    assert!(finished.stdout.contains("5 answered"), "{finished:?}");
}

#[test]
fn conditions_that_do_not_hold_are_0() {
    let server = quick();
    let conditions = ["--fail-if", "errors>0", "--fail-if", "non_2xx>0", "--fail-if", "max>1m"];
    let finished = load(&[&["-c1", "-n", "5"][..], &conditions, &[&server.url()]].concat());
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
fn words_that_make_no_sense_are_refused_with_the_way_out() {
    for (words, code, named) in [
        (&["--fail-if", "p99>5", "http://127.0.0.1:1/"][..], 78, "500ms"),
        (&["--rate", "0", "http://127.0.0.1:1/"], 78, "rate"),
        (&["https://127.0.0.1:1/"], 78, "http://"),
        (&["--source", "10.0.0.0/8", "http://127.0.0.1:1/"], 78, "/26"),
        (&["--source", "192.0.2.1", "http://127.0.0.1:1/"], 78, "ip addr"),
        (&["--source", "::1", "http://127.0.0.1:1/"], 78, "IPv6"),
        (&["-d", "5", "http://127.0.0.1:1/"], 78, "unit"),
        (&["--path", "/db", "http://127.0.0.1:1/json"], 78, "--path"),
        (&["-n", "5", "-d", "5s", "http://127.0.0.1:1/"], 2, "cannot be used with"),
        (&[], 2, "URL"),
    ] {
        let finished = load(words);
        assert_eq!(finished.code, Some(code), "{words:?}: {finished:?}");
        assert!(finished.stderr.contains(named), "{words:?}: {finished:?}");
    }
}

#[test]
fn more_connections_than_ports_are_refused_before_one_is_opened() {
    let server = quick();
    let finished = load(&["-c", "1_000_000", &server.url()]);
    assert_eq!(finished.code, Some(71), "{finished:?}");
    assert!(finished.stderr.contains("--source 127.0.0.0/26"), "{finished:?}");
    assert_eq!(server.requests(), 0);
}

#[test]
fn more_connections_than_descriptors_are_refused() {
    let server = quick();
    let url = server.url();
    // Each thread has an epoll and a timer of its own.
    for (threads, connections, code) in [("2", "61", 71), ("2", "60", 0), ("32", "32", 71), ("30", "4", 0)] {
        let load = ["--nofile=128", env!("CARGO_BIN_EXE_plimsoll"), "load", "-n", "100"];
        let words = [&load[..], &["-t", threads, "-c", connections, &url]].concat();
        let finished = ServerSetup::by("prlimit", &words).run();
        assert_eq!(finished.code, Some(code), "{words:?}: {finished:?}");
        assert_eq!(finished.stderr.contains("RLIMIT_NOFILE"), code == 71, "{finished:?}");
    }
}

#[test]
fn a_row_a_second_adds_up_to_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    let server = quick();
    let words = ["-c2", "-d", "1200ms", "--csv", path.to_str().unwrap(), &server.url()];
    let (finished, report) = load_json(&words);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut rows = text.lines();
    let columns: Vec<&str> = rows.next().unwrap().split(',').collect();
    assert_eq!(columns[..2], ["second", "requests"]);
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split(',').collect()).collect();
    assert!(rows.len() >= 2 && rows.iter().all(|row| row.len() == columns.len()), "{text}");
    let sum: u64 = rows.iter().map(|row| row[1].parse::<u64>().unwrap()).sum();
    assert_eq!(sum, number(&report, "/requests"));
}

#[test]
fn rows_that_cannot_be_written_end_with_1_behind_the_report() {
    let server = quick();
    // A device on which every write fails for lack of room.
    let (finished, report) = load_json(&["-c2", "-d", "1200ms", "--csv", "/dev/full", &server.url()]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(number(&report, "/requests") > 0, "{report}");
    assert!(finished.stderr.contains("/dev/full cannot be written"), "{finished:?}");
}

#[test]
fn the_report_names_asked_and_achieved_corrected_and_raw() {
    let server = quick();
    let finished = load(&["-c2", "--rate", "50", "-d", "400ms", "--latency", &server.url()]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for word in ["achieved", "asked: 50/s", "corrected", "raw", "p99.9", "active", "99.999 %", "µs a request"]
    {
        assert!(finished.stdout.contains(word), "no {word} in\n{}", finished.stdout);
    }
}

#[test]
fn ctrl_c_prints_what_was_measured_so_far() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = quick();
        let mut program = ServerSetup::of(&["load", "--json", "-d", "10m", &server.url()]).launch();
        wait_until("requests to come", PATIENCE, || (server.requests() > 10).then_some(()));
        program.signal(signal);
        let finished = program.wait(PATIENCE);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(report["interrupted"], true);
        assert!(number(&report, "/requests") > 0, "{report}");
    }
}
