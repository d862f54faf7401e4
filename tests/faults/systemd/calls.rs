//! The system calls that the service makes, by strace(1), beside those that its unit allows.
//!
//! **Invariant:** the list is systemd's own; a machine without strace or systemd-analyze leaves the test out and says so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{ServerSetup, TestDatabase};

/// The calls in a set of systemd's (`systemd-analyze syscall-filter`), with the sets in it.
fn calls_of(set: &str) -> BTreeSet<String> {
    let output = Command::new("systemd-analyze").args(["syscall-filter", "--no-pager", set]).output();
    let output = output.expect("systemd-analyze");
    assert!(output.status.success(), "{set}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("names in UTF-8");
    let names = text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    names
        .flat_map(|name| if name.starts_with('@') { calls_of(name) } else { [name.to_owned()].into() })
        .collect()
}

/// What the lines `SystemCallFilter=` of the unit come to.
fn allowed() -> BTreeSet<String> {
    let unit =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/plimsoll.service")).unwrap();
    let mut allowed = BTreeSet::new();
    for sets in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let taken_away = sets.strip_prefix('~');
        for call in taken_away.unwrap_or(sets).split_whitespace().flat_map(calls_of) {
            if taken_away.is_some() {
                allowed.remove(&call);
            } else {
                allowed.insert(call);
            }
        }
    }
    allowed
}

#[test]
fn the_unit_allows_every_system_call_that_the_service_makes() {
    let missing = ["strace", "systemd-analyze"]
        .iter()
        .find(|tool| Command::new(tool).arg("--version").output().is_err());
    if let Some(tool) = missing {
        return eprintln!("left out: {tool} is not on this machine");
    }
    let allowed = allowed();
    assert!(allowed.contains("accept4") && !allowed.contains("chroot"), "{allowed:?}");
    let database = TestDatabase::create();
    let folder = tempfile::tempdir().unwrap();
    for words in [
        ["--processes", "1", "--workers", "2", "--accept", "reuseport"],
        ["--processes", "2", "--workers", "1", "--accept", "handoff"],
    ] {
        let trace = folder.path().join(words[1]);
        // Detached, so that the service is the test's own child, and hears its signals.
        let mut server = ServerSetup::by(
            "strace",
            &["-D", "-f", "-qq", "-e", "signal=none", "-o", trace.to_str().unwrap()],
        )
        .args(&[env!("CARGO_BIN_EXE_plimsoll"), "serve", "--port", "0", "--sched", "batch", "--pin", "on"])
        .args(&words)
        .env("DATABASE_URL", database.url())
        .start();
        for target in ["/json", "/db", "/updates?queries=2", "/fortunes"] {
            assert_eq!(server.connect().get(target).status, 200);
        }
        server.signal(rustix::process::Signal::HUP);
        server.wait_for_lines("reload: ", 1);
        assert_eq!(server.stop().code, Some(0));
        let trace = fs::read_to_string(trace).unwrap();
        let name = |line: &str| Some(line.split_once(' ')?.1.trim_start().split_once('(')?.0.to_owned());
        let made: BTreeSet<String> = trace
            .lines()
            .filter_map(name)
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
            .collect();
        assert!(made.contains("accept4") && made.contains("epoll_wait"), "{made:?}");
        let refused: Vec<_> = made.difference(&allowed).collect();
        assert!(refused.is_empty(), "the unit does not allow {refused:?}");
    }
}
