//! What is deployed elsewhere names settings of this program: `deploy/` and the compose files.
//!
//! **Invariant:** every flag and every variable that such a file sets is one that the program has.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;

use crate::harness::{Client, ServerSetup, unused_port};

/// Names that are no settings of ours, by their beginning: those of PostgreSQL's image, of its tools, of our scripts in these files, and of the log.
const OTHERS: [&str; 9] = [
    "POSTGRES_",
    "PGDATA",
    "PRIMARY",
    "SLOT",
    "REPLICATION_PASSWORD",
    "PLIMSOLL_PUBLISH",
    "PLIMSOLL_STATISTICS",
    "PLIMSOLL_NOFILE",
    "RUST_LOG",
];

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["deploy/cluster", "deploy/kubernetes"].map(|folder| root.join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder of manifests"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.push(root.join("docker-compose.yml"));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml"));
    files
}

/// Words of a text that could be of these letters.
fn words(text: &str, of: fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |letter: char| !of(letter)).filter(|word| !word.is_empty())
}

/// The variable that a line sets: a key in capitals, or a name in a list of Kubernetes.
fn variable(line: &str) -> Option<&str> {
    let name = line.trim().trim_start_matches("- name: ").split(':').next()?.trim();
    let is_of_name = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    (name.len() > 3 && name.chars().all(is_of_name)).then_some(name)
}

fn settings() -> (Vec<String>, Vec<String>) {
    let program = plimsoll::cli::command();
    let serve = program.find_subcommand("serve").expect("serve");
    let of = |command: &Command| -> (Vec<String>, Vec<String>) {
        let flags = command
            .get_arguments()
            .filter_map(|argument| argument.get_long().map(|long| format!("--{long}")));
        let names =
            command.get_arguments().filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()));
        (flags.collect(), names.collect())
    };
    let (mut flags, names) = of(serve);
    let all = program.get_subcommands().flat_map(|command| of(command).0);
    flags.extend(all);
    (flags, names)
}

#[test]
fn every_variable_that_a_manifest_sets_is_a_setting() {
    let (_, names) = settings();
    let mut unknown = Vec::new();
    let mut found = 0;
    for file in files() {
        let text = fs::read_to_string(&file).expect("a manifest");
        for name in text.lines().filter_map(variable) {
            let is_other = OTHERS.iter().any(|other| name.starts_with(other));
            if names.iter().any(|known| known == name) {
                found += 1;
            } else if !is_other {
                unknown.push(format!("{}: {name}", file.display()));
            }
        }
    }
    assert_eq!(
        unknown,
        Vec::<String>::new(),
        "no settings of `plimsoll serve`, whose variables are {names:?}"
    );
    assert!(found >= 10, "only {found} settings were found: are the files read as they are written?");
}

#[test]
fn every_flag_that_a_manifest_names_is_one_of_ours() {
    let (flags, _) = settings();
    // Of Docker's, PostgreSQL's and kubectl's command lines, in comments and scripts.
    let others = ["--from-literal", "--build", "--help"];
    for file in files() {
        let text = fs::read_to_string(&file).expect("a manifest");
        let is_of_flag =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        for word in words(&text, is_of_flag).filter(|word| word.starts_with("--") && word.len() > 3) {
            let known = flags.iter().any(|flag| flag == word) || others.contains(&word);
            assert!(known, "{}: {word} is no flag", file.display());
        }
    }
}

#[test]
fn the_metrics_that_the_autoscaler_goes_by_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes");
    let read = |name: &str| fs::read_to_string(root.join(name)).expect("a manifest");
    let rule = read("prometheus-adapter.example.yaml");
    let (_, made) = rule.split_once("as: ").expect("the name of what the rule makes");
    let made = made.lines().next().unwrap_or_default();
    let wanted = format!("name: {made}\n");
    assert!(read("horizontalpodautoscaler.yaml").contains(&wanted), "the autoscaler asks for no {made}");
    let server = ServerSetup::with_url(&format!("postgres://nobody@127.0.0.1:{}/none", unused_port()))
        .env("PLIMSOLL_ADMIN", "127.0.0.1:0")
        .start();
    let mut client = Client::connect(server.admin_address());
    client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let response = client.receive();
    let of_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let code = rule.lines().filter(|line| !line.trim_start().starts_with('#'));
    let names: Vec<&str> = code.flat_map(|line| words(line, of_name)).collect();
    let used: Vec<&&str> =
        names.iter().filter(|name| name.starts_with("plimsoll_") && **name != made).collect();
    assert!(used.len() >= 3, "{used:?}");
    for name in used {
        let is_sample =
            |line: &str| line.strip_prefix(*name).is_some_and(|rest| rest.starts_with([' ', '{']));
        assert!(response.text().lines().any(is_sample), "/metrics has no {name}:\n{}", response.text());
    }
}
