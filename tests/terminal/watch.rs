//! `status --watch`, on a terminal and elsewhere, and what a terminal changes about a page.
//!
//! **Invariant:** a signal ends it with 0, and a reader that has read enough does too.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use super::ask;
use super::stand_in::{Answer, StandIn, page};
use crate::harness::{PATIENCE, Pty, ServerSetup, wait_until};

/// `status` on a terminal, asking the stand-in.
fn on_a_terminal(stand_in: &StandIn, words: &[&str]) -> ServerSetup {
    ServerSetup::on_a_terminal(&["status", "--admin", &stand_in.address.to_string()]).args(words)
}

#[test]
fn with_json_each_look_is_a_line_until_a_signal() {
    let stand_in = StandIn::start(Answer::Page(page(1, 10)));
    let admin = stand_in.address.to_string();
    let mut setup = ServerSetup::of(&["status", "--watch", "0.2", "--json", "--admin", &admin]);
    let mut child = setup.command().stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let line = lines.next().unwrap().unwrap();
        assert_eq!(line, page(1, 10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    let status = wait_until("the end", PATIENCE, || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_reader_that_has_read_enough_ends_it_with_0() {
    let stand_in = StandIn::start(Answer::Page(page(1, 10)));
    let admin = stand_in.address.to_string();
    let mut setup = ServerSetup::of(&["status", "--watch", "0.2", "--admin", &admin]);
    let mut child = setup.command().stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("plimsoll 0.1.0 is ready"), "{first}");
    let status = wait_until("the end", PATIENCE, || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn elsewhere_than_on_a_terminal_a_page_has_no_colours_and_all_columns() {
    let stand_in = StandIn::start(Answer::Page(page(58, 40)));
    let finished = ask(&stand_in, &["status"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(!finished.stdout.contains('\x1b'), "{}", finished.stdout);
    for words in ["pid", "memory", "parked", "50057", "accept skew", "W/C is 3.2", "wait for PostgreSQL"] {
        assert!(finished.stdout.contains(words), "no {words:?} in\n{}", finished.stdout);
    }
    assert_eq!(finished.stdout.lines().filter(|line| line.contains("  500")).count(), 58);
    let narrow =
        ServerSetup::of(&["status", "--admin", &stand_in.address.to_string()]).env("COLUMNS", "60").run();
    assert!(narrow.stdout.lines().all(|line| line.chars().count() <= 60), "{}", narrow.stdout);
}

#[test]
fn on_a_terminal_a_page_has_colours_unless_nobody_wants_them_and_fits() {
    let stand_in = StandIn::start(Answer::Page(page(2, 40)));
    let mut pty = Pty::start(on_a_terminal(&stand_in, &[]).command(), 80, 60);
    assert_eq!(pty.wait(PATIENCE), Some(0));
    pty.wait_for("the rule");
    assert!(pty.written().contains("\x1b[32mready"), "{}", pty.written());
    assert!(pty.text().contains("a wider terminal shows pid"), "{}", pty.text());
    let mut setup = on_a_terminal(&stand_in, &[]).env("NO_COLOR", "1");
    let mut pty = Pty::start(setup.command(), 80, 60);
    assert_eq!(pty.wait(PATIENCE), Some(0));
    pty.wait_for("the rule");
    assert!(!pty.written().contains('\x1b'), "{}", pty.written());
}

#[test]
fn a_watched_page_is_drawn_anew_survives_an_absence_and_ends_with_ctrl_c() {
    let stand_in = StandIn::start(Answer::Page(page(58, 10)));
    let mut pty = Pty::start(on_a_terminal(&stand_in, &["--watch", "0.2"]).command(), 80, 40);
    pty.wait_for("more, for which there is no room");
    stand_in.turn(Answer::Nothing);
    pty.wait_for("trying again");
    stand_in.turn(Answer::Page(page(1, 77)));
    pty.wait_for_glass("the new page alone", |text| {
        text.contains("77 answered") && !text.contains("no room")
    });
    assert_eq!(pty.text().matches("plimsoll 0.1.0").count(), 1, "{}", pty.text());
    pty.press("\x03");
    assert_eq!(pty.wait(Duration::from_secs(10)), Some(0));
}
