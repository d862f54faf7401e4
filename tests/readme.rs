//! The README's examples, run as a reader would.
//!
//! **Invariant:** every line of the examples is run and every line it prints is compared; only numbers and the date may differ.

use std::process::Command;

use crate::harness::{ServerSetup, TestDatabase};

/// One `$ command` and what the README shows below it.
struct Example {
    command: String,
    output: String,
}

#[test]
fn every_example_of_the_readme_prints_what_the_readme_shows() {
    let examples = read_examples();
    assert!(examples.len() >= 9, "only {} examples were found", examples.len());
    let database = TestDatabase::create();
    let server = ServerSetup::with_database(&database).start();
    for example in examples {
        let command = example.command.replace("127.0.0.1:8080", &server.address().to_string());
        let run = Command::new("sh").args(["-c", &command]).output().expect("a shell");
        let printed = String::from_utf8(run.stdout).expect("text");
        assert_eq!(comparable(&printed), comparable(&example.output), "{}", example.command);
    }
}

fn read_examples() -> Vec<Example> {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let (_, rest) = readme.split_once("```console\n").expect("a block of examples");
    let (block, _) = rest.split_once("```").expect("its end");
    let mut examples: Vec<Example> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), examples.last_mut()) {
            (Some(command), _) => {
                examples.push(Example { command: command.to_owned(), output: String::new() });
            }
            (None, Some(example)) => {
                example.output.push_str(line);
                example.output.push('\n');
            }
            (None, None) => panic!("{line:?} stands before the first command"),
        }
    }
    examples
}

/// Random numbers and the time of day are the only parts that change; line ends are a matter of the terminal.
fn comparable(output: &str) -> String {
    let lines = output.trim_end().lines().map(|line| match line.strip_prefix("date: ") {
        Some(_) => "date: …".to_owned(),
        None if line.starts_with(['{', '[']) => without_numbers(line),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn without_numbers(line: &str) -> String {
    let mut text = line.replace(|letter: char| letter.is_ascii_digit(), "0");
    while text.contains("00") {
        text = text.replace("00", "0");
    }
    text
}
