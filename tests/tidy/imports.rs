//! Imports go one way: `main → cli → commands → {supervisor, load, sweep} → server → http → database → telemetry`, with `config`,
//! `tuning` and `kernel` as leaves.
//!
//! **Invariant:** paths are read wherever they stand in the code, not only in `use` lines.

use super::{Source, expect_none, sources};

/// A part of the crate, and the parts that it may name.
const MAY_NAME: [(&str, &[&str]); 16] = [
    ("main", &["cli", "exit", "logging"]),
    ("cli", &["commands", "config", "exit", "logging"]),
    (
        "commands",
        &[
            "config",
            "database",
            "exit",
            "http",
            "kernel",
            "load",
            "logging",
            "server",
            "supervisor",
            "sweep",
            "telemetry",
            "tuning",
        ],
    ),
    ("supervisor", &["config", "database", "exit", "kernel", "logging", "server", "telemetry"]),
    ("server", &["config", "database", "exit", "http", "kernel", "logging", "telemetry", "tuning"]),
    ("sweep", &["config", "database", "exit", "kernel", "load", "telemetry", "tuning"]),
    ("load", &["config", "kernel"]),
    ("http", &["config", "database", "telemetry"]),
    ("database", &["config", "telemetry", "tuning"]),
    ("telemetry", &["config", "kernel", "tuning"]),
    // Behind all others: no part of the program names it.
    ("properties", &["cli", "config", "database", "http", "kernel", "load", "server"]),
    ("config", &["exit", "logging"]),
    ("kernel", &[]),
    ("tuning", &[]),
    ("exit", &[]),
    ("logging", &[]),
];

/// A crate, and the only places that may name it.
const ONLY_IN: [(&str, &[&str]); 10] = [
    ("hyper", &["src/server/", "src/http/", "src/telemetry/admin"]),
    ("tokio_postgres", &["src/database/"]),
    ("deadpool_postgres", &["src/database/"]),
    ("postgres_protocol", &["src/database/direct.rs", "src/database/wire/"]),
    ("rustls", &["src/database/tls/"]),
    ("tokio_rustls", &["src/database/tls/", "src/database/wire/socket.rs"]),
    ("sha2", &["src/http/lab/", "src/database/tls/"]),
    ("listenfd", &["src/commands/serve/systemd/"]),
    ("ratatui", &["src/commands/top/"]),
    ("clap", &["src/cli.rs", "src/config/", "src/commands/"]),
];

/// `src/database/pool.rs` belongs to `database`, `src/cli.rs` to `cli`.
fn part_of(source: &Source) -> &str {
    let below = source.path.trim_start_matches("src/");
    below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
}

/// The words that follow `prefix` in a line: `crate::{a, b::c}` gives `a` and `b`.
fn named<'a>(line: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices(prefix) {
        let rest = &line[at + prefix.len()..];
        let first = |path: &'a str| {
            path.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
        };
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0_i32;
            for path in group.split_inclusive([',', '{', '}']) {
                if depth == 0 {
                    names.push(first(path));
                }
                depth += i32::from(path.ends_with('{')) - i32::from(path.ends_with('}'));
            }
        } else {
            names.push(first(rest));
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn imports_go_one_way() {
    let mut offences = Vec::new();
    for source in sources("src").iter().filter(|source| source.path != "src/lib.rs") {
        let part = part_of(source);
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == part) else {
            offences.push(format!("{}: `{part}` has no place in the order", source.path));
            continue;
        };
        let known = |name: &&str| MAY_NAME.iter().any(|(part, _)| part == name);
        for (number, line) in source.code() {
            for prefix in ["crate::", "plimsoll::"] {
                for name in named(line, prefix).into_iter().filter(known) {
                    if name != part && !allowed.contains(&name) {
                        offences.push(format!("{}:{number}: `{part}` names `{name}`", source.path));
                    }
                }
            }
        }
    }
    expect_none("imports go one way", &offences);
}

#[test]
fn each_library_stays_in_its_rooms() {
    let mut offences = Vec::new();
    for source in sources("src") {
        for (library, rooms) in ONLY_IN {
            if rooms.iter().any(|room| source.path.starts_with(room)) {
                continue;
            }
            for (number, line) in source.code() {
                let word =
                    |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
                let path = format!("{library}::");
                if line.match_indices(&path).any(|(at, _)| word(at)) {
                    offences.push(format!("{}:{number}: {}", source.path, line.trim()));
                }
            }
        }
    }
    expect_none("each library stays in its rooms", &offences);
}

#[test]
fn the_scanner_reads_groups_and_single_paths() {
    assert_eq!(named("use crate::http::count;", "crate::"), ["http"]);
    assert_eq!(
        named("use crate::{config::Args, exit, http::{a, b}};", "crate::"),
        ["config", "exit", "http"]
    );
    assert_eq!(named("let x = crate::database::plan(crate::http::y);", "crate::"), ["database", "http"]);
}
