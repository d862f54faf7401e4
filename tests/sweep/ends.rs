//! How a sweep ends: by itself, by a signal, by a refusal.
//!
//! **Invariant:** nothing that a sweep started is left when it has ended.

use std::fs;

use rustix::process::Signal;

use super::{records, tiny};
use crate::harness::{
    DataDirectory, PATIENCE, ServerSetup, TestDatabase, processes, unused_port, wait_until,
};

#[test]
fn ctrl_c_keeps_what_was_measured_and_leaves_no_process() {
    let data = DataDirectory::create();
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "sweep",
        "--pool",
        "1",
        "--rounds",
        "500",
        "--seconds",
        "0.1",
        "--warm-up",
        "0s",
        "--db-rtt",
        "200us",
    ];
    let sweep = ServerSetup::of(&words).arg("--data-dir").arg(data.path()).arg("--out").arg(folder.path());
    let mut program = sweep.launch();
    wait_until("two points to be measured", PATIENCE, || (records(folder.path()).len() >= 2).then_some(()));
    let children = processes::children_of(program.pid());
    assert!(!children.is_empty(), "the process that delays, at least");
    program.signal(Signal::INT);
    let finished = program.wait(PATIENCE);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("interrupted") && finished.stderr.contains("--resume"), "{finished:?}");
    assert!(finished.stdout.contains("knee of /db"), "{finished:?}");
    assert!(
        fs::read_to_string(folder.path().join("report.html")).unwrap().contains("Not all of it was measured")
    );
    assert!(records(folder.path()).len() >= 2);
    for pid in children {
        assert!(!processes::is_alive(pid), "{pid} is left: {:?}", processes::words_of(pid));
    }
    let left: Vec<_> = fs::read_dir(data.path())
        .unwrap()
        .map(|entry| entry.unwrap().path().join("postmaster.pid"))
        .collect();
    assert!(!left.iter().any(|file| file.exists()), "PostgreSQL is left: {left:?}");
}

#[test]
fn a_database_that_is_not_there_is_69() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    let finished = ServerSetup::of(&["sweep", "--quick", "--database-url", &url, "--out"]).arg(&out).run();
    assert_eq!(finished.code, Some(69), "{finished:?}");
    assert!(!out.exists(), "nothing was measured, and nothing is left");
}

#[test]
fn what_cannot_be_measured_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let nowhere = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    for (words, code, named) in [
        (&["--resume"][..], 2, "--out"),
        (&["--out", out, "--resume"], 78, "nothing to resume"),
        (&["--db-work", "1ms", "--routes", "/updates"], 78, "/updates"),
        (&["--processes", "2"], 78, "--axis processes"),
        (&["--db-rtt", "1ms", "--database-url", "host=/run/nowhere dbname=x"], 78, "TCP"),
        (&["--data-dir", out, "--database-url", &nowhere], 78, "--data-dir"),
        (&["--seconds", "0"], 78, "0.05"),
        (&["--pool", "0"], 78, "1..=8192"),
        (&["--url", "http://127.0.0.1:1", "--pool", "2"], 2, "cannot be used with"),
        (&["--url", "http://127.0.0.1:1", "--quick", "--out", out], 1, "127.0.0.1:1"),
    ] {
        let finished = ServerSetup::of(&["sweep"]).args(words).run();
        assert_eq!(finished.code, Some(code), "{words:?}: {finished:?}");
        assert!(finished.stderr.contains(named), "{words:?}: {finished:?}");
    }
}

#[test]
fn a_database_that_cannot_serve_the_grid_is_refused_before_anything_is_measured() {
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    let large = tiny(&database, folder.path()).args(&["--pool", "4000"]).run();
    assert_eq!(large.code, Some(78), "{large:?}");
    assert!(
        large.stderr.contains("4000 database connections") && large.stderr.contains("max_connections"),
        "{large:?}"
    );
    database.admin().run("DROP TABLE world");
    let empty = tiny(&database, folder.path()).args(&["--pool", "1"]).run();
    assert_eq!(empty.code, Some(78), "{empty:?}");
    assert!(empty.stderr.contains("init-db"), "{empty:?}");
    assert!(!folder.path().join("sweep.jsonl").exists());
}

#[test]
fn a_route_that_is_not_served_has_no_knee_and_ends_with_1() {
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    let words = ["--pool", "2", "--dispatch", "pipelined", "--routes", "/nothing"];
    let finished = tiny(&database, folder.path()).args(&words).run();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("no knee") && finished.stderr.contains("--routes"), "{finished:?}");
    let reading = &records(folder.path())[0]["reading"];
    assert!(reading["failed"].as_u64() > Some(0) && reading["rate"].as_f64() == Some(0.0), "{reading}");
}
