//! `plimsoll load --hold` at a small scale: several processes, several addresses, few descriptors, and servers and processes that die.
//!
//! **Invariant:** every connection asked for is accounted for: refused, lost, answered or unanswered.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::stand_in::{OK, Reaction, StandIn};
use super::{load, number};
use crate::harness::processes::signal;
use crate::harness::{Finished, PATIENCE, Program, ServerSetup, TestServer, unused_port, wait_until};

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// Runs `load --hold --json` with these words where a process may have so few descriptors.
fn hold(descriptors: u32, words: &[&str]) -> Finished {
    let limit = format!("--nofile={descriptors}");
    let program = env!("CARGO_BIN_EXE_plimsoll");
    ServerSetup::by("prlimit", &[&[&limit, program, "load", "--json", "--hold"], words].concat()).run()
}

fn report(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

#[test]
fn five_hundred_from_four_addresses_under_few_descriptors_are_all_answered() {
    let server = TestServer::without_database();
    let url = format!("http://{}/json", server.address());
    let source = ["--source", "127.0.0.9", "--source", "127.0.0.10", "--source", "127.0.0.12/31"];
    let words = ["500", "--active", "10%", "--open-rate", "2000", "--hold-for", "500ms", &url];
    let finished = hold(256, &[&words[..], &source].concat());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report = report(&finished);
    for (pointer, count) in [
        ("/opened", 500),
        ("/refused", 0),
        ("/lost", 0),
        ("/first_requests", 500),
        ("/answered", 500),
        ("/unanswered", 0),
        ("/traffic/connections", 50),
        ("/traffic/errors", 0),
        ("/first_latency_us/count", 500),
        ("/sweep_latency_us/count", 500),
        ("/processes", 3),
        ("/server_processes", 1),
    ] {
        assert_eq!(number(&report, pointer), count, "{pointer} in {report}");
    }
    assert_eq!(number(&report, "/traffic/statuses/200"), number(&report, "/traffic/requests"));
    assert!(number(&report, "/traffic/requests") >= 50, "each active one was asked: {report}");
    assert!(
        number(&report, "/memory/held/client") > 0 && number(&report, "/memory/held/slab") > 0,
        "{report}"
    );
}

#[test]
fn all_of_them_can_be_active_at_a_rate_and_none_need_be_asked_at_first() {
    let stand_in = StandIn::start(|_| Reaction::Bytes(OK));
    let words = [
        "20",
        "--active",
        "100%",
        "--rate",
        "100",
        "--hold-for",
        "300ms",
        "--first-request",
        "off",
        &stand_in.url(),
    ];
    let finished = hold(256, &words);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report = report(&finished);
    assert_eq!((number(&report, "/opened"), number(&report, "/answered")), (20, 20));
    assert_eq!(report["first_requests"], Value::Null);
    assert_eq!(number(&report, "/traffic/requests") + number(&report, "/traffic/unsent"), 30, "{report}");
    assert_eq!(stand_in.requests() as u64, number(&report, "/traffic/requests") + 20);
}

#[test]
fn connections_of_a_server_that_is_killed_are_told_as_lost() {
    let server = TestServer::without_database();
    let url = format!("http://{}/json", server.address());
    let before = sockets_of(server.pid());
    // Ten minutes, which it does not take: where none is left there is nothing to hold.
    let words = ["--hold", "50", "--active", "0", "--hold-for", "10m", &url];
    let mut program = ServerSetup::of(&["load", "--json"]).args(&words).launch();
    wait_until("fifty connections", PATIENCE, || (sockets_of(server.pid()) >= before + 50).then_some(()));
    server.signal(Signal::KILL);
    let finished = program.wait(PATIENCE);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let report = report(&finished);
    // The server may have taken the last of them before the client heard of it.
    let (opened, refused) = (number(&report, "/opened"), number(&report, "/refused"));
    assert!(opened > 0 && opened + refused == 50, "{report}");
    assert_eq!(number(&report, "/lost"), opened, "{report}");
    assert!(finished.stderr.contains(&format!("{opened} were lost")), "{finished:?}");
    assert_eq!(report["bytes_each_held"], Value::Null, "none was open then to divide by: {report}");
}

#[test]
fn connections_that_the_server_closes_at_once_are_told_as_lost() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // The first connection is the look whether anybody is there.
    let server = std::thread::spawn(move || listener.incoming().take(11).for_each(drop));
    let finished = hold(256, &["10", "--first-request", "off", "--hold-for", "10m", &url]);
    server.join().unwrap();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let report = report(&finished);
    assert_eq!(number(&report, "/opened") + number(&report, "/refused"), 10, "{report}");
    assert_eq!(number(&report, "/lost"), number(&report, "/opened"), "{report}");
}

#[test]
fn connections_that_are_not_answered_in_the_end_are_told() {
    // Each of the ten is answered once, and never again.
    let stand_in = StandIn::start(|n| if n < 10 { Reaction::Bytes(OK) } else { Reaction::Silence });
    let words = ["10", "--active", "0", "--hold-for", "100ms", "--timeout", "2s", &stand_in.url()];
    let finished = hold(256, &words);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let report = report(&finished);
    assert_eq!((number(&report, "/lost"), number(&report, "/unanswered")), (0, 10), "{report}");
}

#[test]
fn an_error_answers_neither_the_first_request_nor_the_last() {
    for (first, last) in [(10, 0), (0, 10), (10, 10)] {
        let is_busy = move |n| if n < 10 { first > 0 } else { last > 0 };
        let stand_in = StandIn::start(move |n| Reaction::Bytes(if is_busy(n) { BUSY } else { OK }));
        let finished = hold(256, &["10", "--active", "0", "--hold-for", "100ms", &stand_in.url()]);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains(&format!("{first} did not answer their first")), "{finished:?}");
        assert!(finished.stderr.contains(&format!("{last} did not in the end")), "{finished:?}");
        let report = report(&finished);
        for (pointer, count) in [
            ("/lost", 0),
            ("/first_requests", 10 - first),
            ("/first_unanswered", first),
            ("/answered", 10 - last),
            ("/unanswered", last),
            ("/non_2xx", first + last),
        ] {
            assert_eq!(number(&report, pointer), count, "{pointer} in {report}");
        }
        for (pointer, bad) in [("/first_statuses", first), ("/sweep_statuses", last)] {
            let (status, other) = if bad > 0 { ("503", "200") } else { ("200", "503") };
            assert_eq!(number(&report, &format!("{pointer}/{status}")), 10, "{report}");
            assert_eq!(report.pointer(&format!("{pointer}/{other}")), None, "{report}");
        }
    }
}

#[test]
fn errors_of_all_three_stages_are_added_up() {
    let stand_in = StandIn::start(|_| Reaction::Bytes(BUSY));
    let words = ["10", "--active", "100%", "--rate", "100", "--hold-for", "300ms", &stand_in.url()];
    let report = report(&hold(256, &words));
    assert!(number(&report, "/traffic/non_2xx") > 0, "{report}");
    assert_eq!(number(&report, "/non_2xx"), 20 + number(&report, "/traffic/non_2xx"), "{report}");
    assert_eq!(number(&report, "/non_2xx"), stand_in.requests() as u64);
    let text = load(&["--hold", "10", "--active", "0", "--hold-for", "100ms", &stand_in.url()]).stdout;
    for words in ["0 answered as they opened, 10 did not; statuses 503: 10", "s; statuses 503: 10"] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_first_request_that_fails_is_told_by_kind_and_its_connection_is_lost_once() {
    let stand_in = StandIn::start(|_| Reaction::Silence);
    let finished = hold(256, &["10", "--hold-for", "10m", "--timeout", "300ms", &stand_in.url()]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let report = report(&finished);
    for (pointer, count) in [
        ("/opened", 10),
        ("/refused", 0),
        ("/opening_failures_by_kind/timeout", 10),
        ("/first_unanswered", 10),
        ("/lost", 10),
        ("/unanswered", 0),
    ] {
        assert_eq!(number(&report, pointer), count, "{pointer} in {report}");
    }
}

#[test]
fn what_cannot_be_held_is_refused_before_anything_is_opened() {
    let stand_in = StandIn::start(|_| Reaction::Bytes(OK));
    let url = stand_in.url();
    for (words, code, named) in [
        (&["1000000", &url][..], 71, "--source 127.0.0.0/26"),
        (&["500", "--processes", "2", &url], 71, "--processes"),
        (&["100000", "--pipeline", "1024", &url], 78, "lower one of the two"),
        (&["500", "-c", "3", &url], 2, "cannot be used with"),
        (&["500", "--active", "101%", &url], 78, "share"),
    ] {
        let finished = hold(256, words);
        assert_eq!(finished.code, Some(code), "{words:?}: {finished:?}");
        assert!(finished.stderr.contains(named), "{words:?}: {finished:?}");
    }
    let nobody = format!("http://127.0.0.1:{}/", unused_port());
    let finished = hold(256, &["5", &nobody]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("running"), "{finished:?}");
    assert_eq!(stand_in.requests(), 0);
}

#[test]
fn ctrl_c_reports_what_was_held_so_far_and_ends_every_process() {
    let stand_in = StandIn::start(|_| Reaction::Bytes(OK));
    let mut program = launch_holding(&stand_in);
    let parts = wait_for_parts(program.pid());
    // The first requests, and those of the holding behind them.
    wait_until("the holding", PATIENCE, || (stand_in.requests() > 20).then_some(()));
    program.signal(Signal::INT);
    let finished = program.wait(PATIENCE);
    assert_eq!(finished.code, Some(1), "it has not asked them all: {finished:?}");
    let report = report(&finished);
    assert_eq!((number(&report, "/opened"), &report["answered"]), (20, &Value::Null), "{report}");
    wait_for_end(&parts);
}

#[test]
fn processes_that_hold_end_when_their_leader_is_killed() {
    let stand_in = StandIn::start(|_| Reaction::Bytes(OK));
    let program = launch_holding(&stand_in);
    let parts = wait_for_parts(program.pid());
    wait_until("the holding", PATIENCE, || (stand_in.requests() > 20).then_some(()));
    program.signal(Signal::KILL);
    wait_for_end(&parts);
    let port = stand_in.address.port();
    wait_until("the connections to end", PATIENCE, || (states_at(port, &[1, 4, 5]) == 0).then_some(()));
    // The look whether anybody is there, alone, ended in the ordinary way.
    assert!(states_at(port, &[6]) <= 1, "connections were left in TIME_WAIT");
}

/// How many clients' sockets to this port of the loopback are in one of these states, as `include/net/tcp_states.h` numbers them.
fn states_at(port: u16, states: &[u8]) -> usize {
    let text = fs::read_to_string("/proc/net/tcp").expect("the table of connections");
    let at = format!("0100007F:{port:04X}");
    let is_one = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[_, _, far, state, ..] = &words[..] else { return false };
        far == at && u8::from_str_radix(state, 16).is_ok_and(|state| states.contains(&state))
    };
    text.lines().filter(is_one).count()
}

#[test]
fn connections_of_a_process_that_is_killed_are_told_as_lost() {
    let stand_in = StandIn::start(|_| Reaction::Bytes(OK));
    let mut program = launch_holding(&stand_in);
    let parts = wait_for_parts(program.pid());
    wait_until("the holding", PATIENCE, || (stand_in.requests() > 20).then_some(()));
    signal(parts[0], Signal::KILL);
    let finished = program.wait(PATIENCE);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("a process that held 10 connections died"), "{finished:?}");
    let report = report(&finished);
    assert_eq!((number(&report, "/opened"), number(&report, "/lost")), (20, 10), "{report}");
    assert_eq!(number(&report, "/traffic/connections"), 2, "what the other counted is told: {report}");
    assert_eq!(report["answered"], Value::Null, "{report}");
    wait_for_end(&parts);
}

fn launch_holding(stand_in: &StandIn) -> Program {
    let words = ["--hold", "20", "--processes", "2", "--active", "10%", "--hold-for", "10m", &stand_in.url()];
    ServerSetup::of(&["load", "--json"]).args(&words).launch()
}

/// The two processes that a leader started.
fn wait_for_parts(leader: u32) -> Vec<u32> {
    wait_until("the processes that hold", PATIENCE, || {
        let text = fs::read_to_string(format!("/proc/{leader}/task/{leader}/children")).unwrap_or_default();
        let parts: Vec<u32> = text.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        (parts.len() == 2).then_some(parts)
    })
}

fn wait_for_end(parts: &[u32]) {
    wait_until("the processes to end", PATIENCE, || {
        // One that nobody has waited for yet has ended all the same.
        let ended = |id: &u32| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ") || !stat.contains("plimsoll")
        };
        parts.iter().all(ended).then_some(())
    });
}

/// How many sockets a process has open.
fn sockets_of(pid: u32) -> usize {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}
