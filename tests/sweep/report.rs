//! What a sweep writes and prints, and how it is gone on with.
//!
//! **Invariant:** what is in one file is in the others.

use std::fs;

use serde_json::Value;

use super::{records, tiny};
use crate::harness::{ServerSetup, TestDatabase, TestServer};

#[test]
fn a_sweep_measures_every_point_names_a_knee_and_is_gone_on_with() {
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let finished = tiny(&database, &out).args(&["--pool", "1,2"]).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let last: Vec<&str> = finished.stdout.trim_end().lines().rev().take(2).collect();
    assert!(last[0].starts_with("settings: plimsoll serve "), "{finished:?}");
    assert!(last[1].starts_with("knee of /db over 4 connections: "), "{finished:?}");

    let first = records(&out);
    assert_eq!(first.len(), 4, "two sizes and two ways: {first:?}");
    for record in &first {
        let reading = &record["reading"];
        assert_eq!(reading["failed"], 0, "{record}");
        for figure in
            ["rate", "p50_us", "p99_us", "server_cpu_us", "database_cpu_us", "load_cpu_us", "database_busy"]
        {
            assert!(reading[figure].is_number(), "{figure} in {record}");
        }
    }
    let page: Value = serde_json::from_str(&fs::read_to_string(out.join("sweep.json")).unwrap()).unwrap();
    assert_eq!(
        (page["about"]["is_whole"].as_bool(), page["findings"]["series"].as_array().unwrap().len()),
        (Some(true), 2)
    );
    assert_eq!(fs::read_to_string(out.join("sweep.csv")).unwrap().lines().count(), 5);
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("</html>") && report.contains(last[0].strip_prefix("settings: ").unwrap()));

    let resumed = tiny(&database, &out).args(&["--pool", "1,2", "--resume", "--rounds", "2"]).run();
    assert_eq!(resumed.code, Some(2), "--rounds stands there twice: {resumed:?}");
    let words = [
        "sweep",
        "--rounds",
        "2",
        "--seconds",
        "0.3",
        "--warm-up",
        "50ms",
        "--connections",
        "4",
        "--pool",
        "1,2",
        "--resume",
    ];
    let again = |words: &[&str]| {
        ServerSetup::of(words).env("DATABASE_URL", database.url()).arg("--out").arg(&out).run()
    };
    let resumed = again(&words);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    let second = records(&out);
    assert_eq!((second.len(), &second[..4]), (8, &first[..]), "what was measured is not measured again");

    let other = again(&words.map(|word| if word == "0.3" { "0.2" } else { word }));
    assert_eq!(other.code, Some(78), "{other:?}");
    assert!(other.stderr.contains("seconds was 0.3, and is 0.2"), "{other:?}");
    let over = again(&words[..words.len() - 1]);
    assert_eq!(over.code, Some(78), "{over:?}");
    assert!(over.stderr.contains("--resume"), "{over:?}");
    assert_eq!(records(&out), second);
}

#[test]
fn what_another_version_measured_is_not_gone_on_with() {
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    let words = ["--pool", "2", "--dispatch", "pipelined"];
    let finished = tiny(&database, folder.path()).args(&words).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let journal = folder.path().join("sweep.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let head: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    for name in ["program", "postgresql"] {
        let version = head["settings"][name].as_str().unwrap();
        let setting = |version: &str| format!("\"{name}\":\"{version}\"");
        fs::write(&journal, text.replacen(&setting(version), &setting("0.0"), 1)).unwrap();
        let newer = tiny(&database, folder.path()).args(&words).args(&["--resume"]).run();
        assert_eq!(newer.code, Some(78), "{newer:?}");
        assert!(newer.stderr.contains(&format!("{name} was 0.0, and is {version}")), "{newer:?}");
    }
}

#[test]
fn processes_and_routes_without_the_database_are_swept_too() {
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    let finished = tiny(&database, folder.path()).args(&["--axis", "processes", "--processes", "2"]).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let records = records(folder.path());
    let routes: Vec<&Value> = records.iter().map(|record| &record["point"]["workload"]["route"]).collect();
    assert_eq!(routes, ["/db", "/json"]);
    assert!(finished.stdout.contains("--processes 2 --workers 1 "), "{finished:?}");
}

#[test]
fn a_server_that_runs_elsewhere_is_swept_over_its_clients() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}", server.address());
    let words = [
        "sweep",
        "--url",
        &url,
        "--connections",
        "1,4",
        "--rounds",
        "1",
        "--seconds",
        "0.2",
        "--warm-up",
        "0s",
        "--out",
    ];
    let finished = ServerSetup::of(&words).arg(folder.path()).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(
        finished.stdout.contains("knee of /db: ") && finished.stdout.contains("client connection"),
        "{finished:?}"
    );
    assert_eq!(records(folder.path()).len(), 2);
}
