//! The units of `dist/` as systemd reads them, and the compose file beside them.
//!
//! **Invariant:** what is read are the files that are installed, with no change but the path of the program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::faults::figure;

/// The exposure that `systemd-analyze security` finds, of 10, has to stay below this.
const MOST_EXPOSURE: f64 = 1.5;

/// The lines that take rights away in a service of the compose file.
const RIGHTS: [&str; 5] =
    ["read_only: true", "cap_drop:", "- ALL", "security_opt:", "- no-new-privileges:true"];

fn dist(unit: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(unit);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Both units in a folder, with the program where it is; none where this machine has no systemd to read them.
fn installed() -> Option<tempfile::TempDir> {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("left out: systemd-analyze is not on this machine");
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for unit in ["plimsoll.service", "plimsoll.socket"] {
        let text = dist(unit).replace("/usr/local/bin/plimsoll", env!("CARGO_BIN_EXE_plimsoll"));
        fs::write(folder.path().join(unit), text).expect("a copy of the unit");
    }
    Some(folder)
}

fn analyze(words: &[&str], folder: &Path) -> Output {
    let units = ["plimsoll.service", "plimsoll.socket"].map(|unit| folder.join(unit));
    let units = if words[0] == "verify" { &units[..] } else { &units[..1] };
    Command::new("systemd-analyze").args(words).args(units).output().expect("systemd-analyze")
}

#[test]
fn systemd_reads_both_units_without_a_word() {
    let Some(folder) = installed() else { return };
    let output = analyze(&["verify", "--man=no"], folder.path());
    let said = String::from_utf8_lossy(&output.stderr);
    // Other units of the machine are read with it, and are not ours.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("plimsoll")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

#[test]
fn the_unit_exposes_next_to_nothing() {
    let Some(folder) = installed() else { return };
    let output = analyze(&["security", "--no-pager", "--offline=true"], folder.path());
    let table = String::from_utf8_lossy(&output.stdout);
    let overall = table.split("Overall exposure level for plimsoll.service:").nth(1);
    let exposure = overall.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    assert!(exposure.is_some_and(|exposure| exposure < MOST_EXPOSURE), "{table}");
    figure("rights of the unit", format_args!("exposure {:.1} of 10", exposure.unwrap_or_default()));
}

#[test]
fn the_unit_says_what_the_service_keeps() {
    let unit = dist("plimsoll.service");
    for line in [
        "Type=notify",
        "KillMode=mixed",
        "WatchdogSec=30s",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "DynamicUser=yes",
    ] {
        assert!(unit.lines().any(|found| found == line), "no line {line}");
    }
    assert!(dist("plimsoll.socket").lines().any(|line| line == "ListenStream=127.0.0.1:8080"));
}

#[test]
fn each_service_of_the_compose_file_gives_up_its_rights() {
    let compose =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docker-compose.yml")).unwrap();
    let (services, _) = compose.split_once("\nvolumes:").unwrap();
    let (ours, database) = services.split_once("\n  database:\n").unwrap();
    for service in [ours, database] {
        for line in RIGHTS {
            assert!(service.lines().any(|found| found.trim() == line), "no line `{line}` in:\n{service}");
        }
    }
    assert!(!ours.contains("cap_add"), "the service itself needs no capability");
}
