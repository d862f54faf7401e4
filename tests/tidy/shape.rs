//! What a file looks like: its length, its header, and what it does without.
//!
//! **Invariant:** unit tests are read too; only what clippy already denies is left to clippy.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Source, expect_none, sources};

const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 70;

fn all() -> Vec<Source> {
    let mut all = sources("src");
    all.extend(sources("tests"));
    all
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let mut long = Vec::new();
    for source in all() {
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE {
            long.push(format!("{}: {lines} lines", source.path));
        }
    }
    expect_none("no file is longer than 400 lines", &long);
}

/// Whether a line starts a function with a body below: `fn` with nothing but its qualifiers before it.
fn begins_function(line: &str) -> bool {
    let qualifier = |word: &str| word.starts_with("pub") || ["async", "const", "extern"].contains(&word);
    line.split_once("fn ").is_some_and(|(before, _)| before.split_whitespace().all(qualifier))
        && !line.trim_end().ends_with([';', '}'])
}

#[test]
fn no_function_is_longer_than_70_lines() {
    let mut offences = Vec::new();
    for source in all() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
            // rustfmt puts a function's closing brace under its first letter.
            let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
            let length =
                lines[at + 1..].iter().position(|other| *other == end).map_or(0, |length| length + 2);
            if length > LONGEST_FUNCTION {
                offences.push(format!("{}:{}: {length} lines", source.path, at + 1));
            }
        }
    }
    expect_none("no function is longer than 70 lines", &offences);
}

#[test]
fn each_module_says_what_it_is_and_what_always_holds() {
    let mut offences = Vec::new();
    for source in all() {
        if ["src/main.rs", "tests/integration.rs"].contains(&source.path.as_str()) {
            continue;
        }
        let header: Vec<&str> = source.text.lines().take_while(|line| line.starts_with("//!")).collect();
        let invariants = header.iter().filter(|line| line.starts_with("//! **Invariant:** ")).count();
        if header.first().is_none_or(|line| line.starts_with("//! **Invariant")) {
            offences.push(format!("{}: no line says what it is", source.path));
        }
        if invariants != 1 {
            offences.push(format!("{}: {invariants} invariant lines", source.path));
        }
    }
    expect_none("each module's header has one **Invariant:** line", &offences);
}

#[test]
fn nothing_is_allowed_without_a_reason_or_unwrapped_outside_tests() {
    let allow = concat!("#[", "allow");
    let inner = concat!("#![", "allow");
    let unwrap = concat!(".unwrap", "()");
    let mut offences = Vec::new();
    for source in all() {
        for (number, line) in source.lines() {
            if line.contains(allow) || line.contains(inner) {
                offences.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
        if source.path.starts_with("src/") {
            for (number, line) in source.code().filter(|(_, line)| line.contains(unwrap)) {
                offences.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    expect_none("#[expect(…, reason)] instead of allow, and errors instead of unwrap", &offences);
}

#[test]
fn names_of_files_say_what_is_in_them() {
    let vague: BTreeSet<&str> = ["util", "utils", "helper", "helpers", "common", "manager", "misc"].into();
    let mut offences = Vec::new();
    for source in all() {
        if source.path.trim_end_matches(".rs").split('/').any(|part| vague.contains(part)) {
            offences.push(source.path);
        }
    }
    expect_none("no utils, helpers, common or manager", &offences);
}

#[test]
fn every_folder_of_sources_has_its_mod_rs() {
    let paths: BTreeSet<String> = all().into_iter().map(|source| source.path).collect();
    let mut offences = BTreeSet::new();
    for path in &paths {
        let folder = Path::new(path).parent().expect("a folder").display().to_string();
        if !["src", "tests"].contains(&folder.as_str()) && !paths.contains(&format!("{folder}/mod.rs")) {
            offences.insert(folder);
        }
    }
    expect_none("every folder has a mod.rs", &offences.into_iter().collect::<Vec<_>>());
}

#[test]
fn names_of_tests_are_sentences() {
    let mut offences = Vec::new();
    for source in all() {
        let mut marked = false;
        for (number, line) in source.lines() {
            let line = line.trim();
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
            } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| marked) {
                marked = false;
                let name = rest.split('(').next().unwrap_or_default();
                if name.split('_').filter(|word| !word.is_empty()).count() < 3 || name.starts_with("test_") {
                    offences.push(format!("{}:{number}: {name}", source.path));
                }
            }
        }
    }
    expect_none("test names are sentences", &offences);
}

#[test]
fn each_query_file_is_one_statement() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/queries");
    let mut offences = Vec::new();
    for path in super::entries(&folder) {
        let text = fs::read_to_string(&path).expect("a query in UTF-8");
        let lower = text.to_lowercase();
        let statements = lower.split(';').filter(|statement| !statement.trim().is_empty()).count();
        let two_kinds = lower.contains("update") && lower.contains("select");
        if statements != 1 || two_kinds {
            offences.push(path.display().to_string());
        }
    }
    expect_none("one statement a file, and an UPDATE that does not say select", &offences);
}
