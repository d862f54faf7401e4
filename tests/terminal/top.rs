//! `top` on a real terminal.
//!
//! **Invariant:** however it ends, the terminal is as it was before: modes, screen and cursor.

use std::time::Duration;

use rustix::process::Signal;

use super::stand_in::{Answer, StandIn, page};
use crate::harness::{PATIENCE, Pty, ServerSetup, wait_until};

/// How long an end may take that a key or a signal asks for.
const SOON: Duration = Duration::from_secs(10);

fn start(stand_in: &StandIn) -> Pty {
    let words = ["top", "--every", "0.2", "--admin", &stand_in.address.to_string()];
    Pty::start(ServerSetup::on_a_terminal(&words).command(), 100, 30)
}

fn expect_given_back(pty: &Pty) {
    assert!(pty.is_as_before(), "keys are not read as before");
    // What was written last may still be on its way through the terminal when the program has ended.
    let is_last = |written: &str, sequence: &str, other: &str| written.rfind(sequence) > written.rfind(other);
    wait_until("the screen from before, and its cursor", PATIENCE, || {
        let written = pty.written();
        let screen = is_last(&written, "\x1b[?1049l", "\x1b[?1049h");
        (screen && is_last(&written, "\x1b[?25h", "\x1b[?25l")).then_some(())
    });
}

#[test]
fn it_shows_each_worker_and_ends_with_q() {
    let stand_in = StandIn::start(Answer::Page(page(3, 40)));
    let mut pty = start(&stand_in);
    for words in ["plimsoll 0.1.0 is ready", "50002", "requests a second: 12", "wait/work", "q end"] {
        pty.wait_for(words);
    }
    assert!(!pty.is_as_before(), "keys are read one by one meanwhile");
    pty.press("q");
    assert_eq!(pty.wait(SOON), Some(0));
    expect_given_back(&pty);
}

#[test]
fn ctrl_c_escape_and_sigterm_end_it_too() {
    let stand_in = StandIn::start(Answer::Page(page(1, 40)));
    for end in [Some("\x03"), Some("\x1b"), None] {
        let mut pty = start(&stand_in);
        pty.wait_for("q end");
        match end {
            Some(keys) => pty.press(keys),
            None => pty.signal(Signal::TERM),
        }
        assert_eq!(pty.wait(SOON), Some(0), "{end:?}");
        expect_given_back(&pty);
    }
}

#[test]
fn keys_sort_scroll_hold_and_explain() {
    let stand_in = StandIn::start(Answer::Page(page(58, 4)));
    let mut pty = start(&stand_in);
    pty.wait_for("50000");
    pty.press("\x1b[F");
    pty.wait_for_glass("the last worker alone", |text| text.contains("50057") && !text.contains("50000"));
    pty.press("s");
    pty.wait_for("busiest first");
    pty.press("?");
    pty.wait_for("hold the view still, and go on");
    pty.press("?");
    pty.wait_for_glass("no keys", |text| !text.contains("and go on"));
    pty.press("p");
    pty.wait_for("HELD STILL");
    stand_in.turn(Answer::Page(page(1, 99)));
    pty.press("p");
    pty.wait_for_glass("one worker", |text| text.contains("    99 ") && !text.contains("HELD"));
}

#[test]
fn another_size_is_filled_and_a_small_one_keeps_the_table() {
    let stand_in = StandIn::start(Answer::Page(page(2, 40)));
    let pty = start(&stand_in);
    pty.wait_for("q end");
    pty.resize(60, 9);
    pty.wait_for_glass("a small view", |text| {
        text.contains("q end") && text.contains("req/s") && !text.contains("pool ")
    });
    pty.resize(160, 40);
    pty.wait_for_glass("a large view", |text| text.contains("parked") && text.contains("accepts"));
}

#[test]
fn keys_are_heard_while_the_service_does_not_answer() {
    let stand_in = StandIn::start(Answer::Page(page(1, 40)));
    let mut pty = start(&stand_in);
    pty.wait_for("is ready");
    stand_in.turn(Answer::Silence);
    for (key, words) in [("s", "busiest first"), ("?", "show and hide this")] {
        pty.press(key);
        pty.wait_for(words);
    }
    pty.press("q");
    assert_eq!(pty.wait(SOON), Some(0));
    expect_given_back(&pty);
}

#[test]
fn a_service_that_goes_away_is_said_to_and_asked_again() {
    let stand_in = StandIn::start(Answer::Page(page(1, 40)));
    let mut pty = start(&stand_in);
    pty.wait_for("is ready");
    stand_in.turn(Answer::Nothing);
    pty.wait_for("no answer, trying again");
    pty.wait_for("50000");
    stand_in.turn(Answer::Page(page(1, 40)));
    pty.wait_for("is ready");
    pty.press("q");
    assert_eq!(pty.wait(SOON), Some(0));
    expect_given_back(&pty);
}
