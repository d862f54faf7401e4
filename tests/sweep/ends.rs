//! How a sweep ends: by itself, by a signal, by a refusal.
//!
//! **Invariant:** nothing that a sweep started is left when it has ended.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use super::{records, tiny};
use crate::harness::{
    DataDirectory, PATIENCE, Program, ServerSetup, TestDatabase, processes, unused_port, wait_until,
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

/// A sweep of two processes that takes its time, and all the processes of its first server, supervisor and children.
fn sweep_of_processes(database: &TestDatabase, out: &Path) -> (Program, Vec<u32>) {
    let words = ["--axis", "processes", "--processes", "2", "--routes", "/db"];
    let words = [&["sweep", "--seconds", "20", "--warm-up", "0s", "--connections", "4"], &words[..]].concat();
    let sweep = ServerSetup::of(&words).env("DATABASE_URL", database.url()).arg("--out").arg(out);
    let program = sweep.launch();
    let family = wait_until("a supervisor with two children under load", PATIENCE, || {
        let children = processes::children_of(program.pid());
        let is_loading =
            children.iter().any(|pid| processes::words_of(*pid).iter().any(|word| word == "load"));
        let mut serving = children.into_iter().map(|pid| [vec![pid], processes::children_of(pid)].concat());
        serving.find(|family| family.len() == 3).filter(|_| is_loading)
    });
    (program, family)
}

#[test]
fn a_terminal_that_goes_away_ends_a_sweep_with_all_processes_of_its_server() {
    let database = TestDatabase::create();
    // Who runs the tests under nohup has SIGHUP ignored, by the sweep as by everybody else.
    let signals = [Signal::HUP, Signal::QUIT].into_iter().filter(|signal| !processes::is_ignored(*signal));
    for signal in signals {
        let folder = tempfile::tempdir().unwrap();
        let (mut program, family) = sweep_of_processes(&database, &folder.path().join("out"));
        program.signal(signal);
        let finished = program.wait(PATIENCE);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains("interrupted"), "{finished:?}");
        for pid in family {
            assert!(!processes::is_alive(pid), "{pid} is left: {:?}", processes::words_of(pid));
        }
    }
}

#[test]
fn the_server_of_a_sweep_that_is_killed_ends_too() {
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    let (mut program, family) = sweep_of_processes(&database, &folder.path().join("out"));
    program.signal(Signal::KILL);
    program.wait(PATIENCE);
    wait_until("the server's processes to end", PATIENCE, || {
        (!family.iter().any(|pid| processes::is_alive(*pid))).then_some(())
    });
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
fn the_directory_of_the_private_postgresql_is_read_from_the_environment_as_by_serve() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("file"), folder.path().join("out"));
    fs::write(&file, "").unwrap();
    let sweep = ServerSetup::of(&["sweep", "--quick", "--out"]).arg(&out).env("PLIMSOLL_DATA_DIR", &file);
    let refused = sweep.run();
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.stderr.contains(&format!("{} is not a directory", file.display())), "{refused:?}");
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
