//! What holds of any settings: a clear refusal, or settings that read the same again as flags.
//!
//! **Invariant:** nothing is started, opened or read but the text itself.

use std::ffi::OsString;

use crate::cli;
use crate::config::words::Words;
use crate::config::{Refusal, parse, parse_over};

/// The text of a settings file; where it begins with a zero byte, words of a command line instead, one a line.
pub(super) fn check(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0, words)) => check_words(words),
        _ => check_file(bytes),
    }
}

fn check_words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // A file that is named would be read, and clap ends the process for nobody: help is an answer like any other.
    let words: Vec<OsString> = std::iter::once("plimsoll").chain(text.lines()).map(OsString::from).collect();
    if !text.contains("config") {
        check_refusal(parse(cli::command(), &words).map(drop));
    }
}

fn check_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let serve = ["plimsoll", "serve"].map(OsString::from);
    let parsed = match parse_over(text, cli::command(), &serve) {
        Ok(parsed) => parsed,
        Err(refusal) => return check_refusal(Err(refusal)),
    };
    let read = Words::of(&parsed);
    let words: Vec<OsString> = serve.into_iter().chain(read.flags(&[])).collect();
    match parse(cli::command(), &words) {
        Ok(again) => assert_eq!(Words::of(&again).changed_from(&read), [""; 0], "read again as flags"),
        Err(refusal) => panic!("a file was taken that is refused as flags: {}", refusal.in_one_line()),
    }
}

fn check_refusal(read: Result<(), Refusal>) {
    if let Err(refusal) = read {
        assert!(!refusal.in_one_line().trim().is_empty(), "a refusal without a word");
    }
}
