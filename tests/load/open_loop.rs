//! The open loop: requests are due whether or not the server answers, and corrected latency says so.
//!
//! **Invariant:** corrected and raw are compared with each other and with the stall, never with a hope.

use std::time::Duration;

use super::stand_in::{OK, Reaction, StandIn};
use super::{load_json, number};

const STALL: Duration = Duration::from_millis(600);

#[test]
fn a_stall_is_charged_to_all_that_waited_and_not_to_one() {
    let stand_in = StandIn::start(|n| if n == 20 { Reaction::Stall(STALL) } else { Reaction::Bytes(OK) });
    let words = ["-t1", "-c1", "--rate", "200", "-d", "1500ms", "--timeout", "10s", &stand_in.url()];
    let (finished, report) = load_json(&words);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let stall = u64::try_from(STALL.as_micros()).unwrap();
    let latency = |kind: &str, what: &str| number(&report, &format!("/latency_us/{kind}/{what}"));
    assert!(latency("corrected", "max") >= stall && latency("raw", "max") >= stall, "{report}");
    // 120 of 300 requests fell due while the server stalled: more than a tenth waited past a tenth of the stall, yet only one was sent into it.
    assert!(latency("corrected", "p90") >= stall / 10, "{report}");
    assert!(latency("raw", "p90") < latency("corrected", "p90"), "{report}");
    assert_eq!(number(&report, "/rate_asked"), 200);
    assert_eq!(number(&report, "/requests"), latency("raw", "count"));
}

#[test]
fn what_was_due_and_never_sent_is_told_and_counts_as_having_waited() {
    // Nobody is answered before the end, which comes first.
    let stand_in = StandIn::start(|n| if n == 0 { Reaction::Bytes(OK) } else { Reaction::Stall(STALL) });
    let words = ["-t1", "-c1", "--rate", "100", "-d", "500ms", "--timeout", "10s", &stand_in.url()];
    let (finished, report) = load_json(&words);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let (answered, unsent) = (number(&report, "/requests"), number(&report, "/unsent"));
    assert_eq!(answered + unsent, 50, "{report}");
    assert!(unsent > 0, "{report}");
    assert_eq!(number(&report, "/latency_us/corrected/count"), 50);
    assert_eq!(number(&report, "/latency_us/raw/count"), answered);
}

#[test]
fn more_due_than_could_ever_be_sent_is_counted_at_once_and_none_is_left_out() {
    let stand_in = StandIn::start(|_| Reaction::Silence);
    let words = ["-t1", "-c1", "--rate", "100000000", "-d", "1s", "--timeout", "300ms", &stand_in.url()];
    let (finished, report) = load_json(&words);
    // Nothing was answered.
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(number(&report, "/unsent") + number(&report, "/errors"), 100_000_000, "{report}");
    assert_eq!(number(&report, "/latency_us/corrected/count"), number(&report, "/unsent"));
}

#[test]
fn the_number_due_at_a_rate_is_exact_over_all_threads() {
    let stand_in = StandIn::start(|_| Reaction::Bytes(OK));
    let (finished, report) = load_json(&["-t3", "-c6", "--rate", "333", "-d1s", &stand_in.url()]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(number(&report, "/requests") + number(&report, "/unsent"), 333, "{report}");
}
