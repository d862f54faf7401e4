//! What ends a look, and what is said then.
//!
//! **Invariant:** each message names the way out.

use super::ask;
use super::stand_in::{Answer, StandIn, page};
use crate::harness::{ServerSetup, unused_port};

#[test]
fn where_no_service_is_the_exit_code_is_1_and_the_flags_that_name_one_are_listed() {
    let nowhere = format!("127.0.0.1:{}", unused_port());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock");
    let socket = socket.to_str().unwrap();
    for words in [
        &["status", "--admin", &nowhere][..],
        &["status", "--watch", "--admin", &nowhere],
        &["status", "--json", "--admin", &nowhere],
        &["connections", "--admin", &nowhere],
        &["pool", "pause", "--admin-socket", socket],
        &["pool", "resize", "5", "--admin-socket", socket],
    ] {
        let finished = ServerSetup::of(words).run();
        assert_eq!(finished.code, Some(1), "{words:?}: {finished:?}");
        assert!(finished.stderr.contains("--admin-socket PATH"), "{words:?}: {finished:?}");
        assert_eq!(finished.stdout, "", "{words:?}");
    }
}

#[test]
fn a_page_of_another_version_is_refused_with_both_numbers_and_json_shows_it_all_the_same() {
    let newer = page(1, 10).replacen("\"version\":1", "\"version\":7", 1);
    let stand_in = StandIn::start(Answer::Page(newer.clone()));
    let finished = ask(&stand_in, &["status"]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("version 7") && finished.stderr.contains("version 1"), "{finished:?}");
    let finished = ask(&stand_in, &["status", "--json"]);
    assert_eq!((finished.code, finished.stdout), (Some(0), newer));
}

#[test]
fn what_is_no_page_at_all_is_said_to_be_none() {
    let stand_in = StandIn::start(Answer::Page("<html>".into()));
    for command in ["status", "connections"] {
        let finished = ask(&stand_in, &[command]);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains("cannot be read"), "{finished:?}");
    }
}

#[test]
fn top_without_a_terminal_names_what_prints_anywhere() {
    let stand_in = StandIn::start(Answer::Page(page(1, 10)));
    let finished = ask(&stand_in, &["top"]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("plimsoll status --watch"), "{finished:?}");
    assert_eq!(finished.stdout, "");
}

#[test]
fn words_that_do_not_go_together_are_usage_errors_and_values_that_mean_nothing_are_settings() {
    for (words, code) in [
        (&["connections", "--state", "sleepy"][..], 78),
        (&["connections", "--rows", "10001"], 78),
        (&["connections", "--idle-for", "10"], 78),
        (&["status", "--watch", "0"], 78),
        (&["pool"], 2),
        (&["pool", "resize"], 2),
        (&["pool", "resize", "0"], 78),
        (&["pool", "resize", "5", "--total", "9"], 2),
    ] {
        let finished = ServerSetup::of(words).run();
        assert_eq!(finished.code, Some(code), "{words:?}: {finished:?}");
    }
}
