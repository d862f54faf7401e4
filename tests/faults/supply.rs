//! Where the code comes from: known holes in the crates, the bill of materials, and builds that go by Cargo.lock.
//!
//! **Invariant:** the scripts are run as they stand, without a network and on a made-up advisory database, and install nothing: where a tool of
//! theirs is missing the test is left out and says so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::faults::figure;

/// The tools that the scripts install where they are missing, which takes minutes.
fn is_here(tools: &[&str]) -> bool {
    let is_missing = |tool: &&&str| {
        !Command::new("cargo")
            .args([**tool, "--version"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let missing = tools.iter().find(is_missing);
    if let Some(tool) = missing {
        eprintln!("left out: cargo-{tool} is not on this machine; `make advisories sbom` installs it");
    }
    missing.is_none()
}

fn script(name: &str) -> Command {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(package.join("scripts").join(name));
    command.current_dir(package).env_remove("ADVISORY_DB");
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A database of one advisory, in the form that such a database has.
fn database(of_crate: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().join("crates").join(of_crate);
    fs::create_dir_all(&place).expect("a folder");
    let text = format!(
        "```toml\n[advisory]\nid = \"RUSTSEC-2026-9001\"\npackage = \"{of_crate}\"\ndate = \"2026-01-01\"\nurl = \"https://example.org/\"\n\n\
         [versions]\npatched = []\n```\n\n# Made up\n\nIt is for a test.\n"
    );
    fs::write(place.join("RUSTSEC-2026-9001.md"), text).expect("an advisory");
    folder
}

#[test]
fn a_hole_in_one_of_our_crates_is_found_by_both_tools_and_one_in_another_is_none_of_ours() {
    if !is_here(&["deny", "audit"]) {
        return;
    }
    let look = |of_crate: &str| {
        let database = database(of_crate);
        script("advisories").arg("--offline").env("ADVISORY_DB", database.path()).output().unwrap()
    };
    let found = look("bytes");
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    assert!(said(&found).contains("error[vulnerability]"), "cargo-deny finds it: {}", said(&found));
    assert!(said(&found).contains("1 vulnerability found!"), "cargo-audit finds it: {}", said(&found));
    let none = look("a-crate-that-we-do-not-use");
    assert_eq!(none.status.code(), Some(0), "{}", said(&none));
    assert!(said(&none).contains("advisories: nothing found in 1 advisories"), "{}", said(&none));
}

#[test]
fn that_no_advisory_was_looked_at_is_said_and_is_no_success_unless_it_is_one_check_of_many() {
    let nothing = tempfile::tempdir().unwrap();
    let named = script("advisories").env("ADVISORY_DB", nothing.path()).output().unwrap();
    assert_eq!(named.status.code(), Some(69), "{}", said(&named));
    assert!(said(&named).contains("NOT LOOKED AT"), "{}", said(&named));
    let at_hand = script("advisories").arg("--at-hand").env("CARGO_HOME", nothing.path()).output().unwrap();
    assert_eq!(at_hand.status.code(), Some(0), "{}", said(&at_hand));
    assert!(said(&at_hand).contains("NOT LOOKED AT"), "{}", said(&at_hand));
}

#[test]
fn the_bill_of_materials_names_every_crate_that_is_built_and_no_folder_of_this_machine() {
    if !is_here(&["cyclonedx"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sbom.json");
    let written = script("sbom").arg(&file).output().unwrap();
    assert!(written.status.success(), "{}", said(&written));
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&*std::env::temp_dir().to_string_lossy()), "{text}");
    let bill: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let component = |component: &serde_json::Value| {
        assert!(component["hashes"][0]["content"].is_string(), "no checksum: {component}");
        format!("{} v{}", component["name"].as_str().unwrap(), component["version"].as_str().unwrap())
    };
    let named: BTreeSet<String> = bill["components"].as_array().unwrap().iter().map(component).collect();
    let tree = Command::new("cargo")
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let built: BTreeSet<String> = String::from_utf8(tree.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        .filter(|line| !line.starts_with("plimsoll ") && !line.is_empty())
        .collect();
    assert!(built.len() > 100, "{built:?}");
    let missing: Vec<_> = built.difference(&named).collect();
    assert!(missing.is_empty(), "built, and not in the bill: {missing:?}");
    figure(
        "bill of materials",
        format_args!("{} crates built, {} named with their checksums", built.len(), named.len()),
    );
}
