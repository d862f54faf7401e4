//! The watchdog: it is told that all is well while every event loop turns, and nothing once one of them stands still.
//!
//! **Invariant:** a loop stands still for real, by work that never yields or by SIGSTOP, and nothing in the service is asked to pretend it.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Manager;
use crate::faults::figure;
use crate::harness::processes::signal;
use crate::harness::{PATIENCE, request, wait_until};

/// What the unit would give; the shorter, the sooner the tests end.
const WATCHDOG: Duration = Duration::from_secs(1);

/// Requests that compute for about a second each, all of which the worker finds ready to be read at once.
const BURNS: usize = 40;

/// Waits until systemd would end the service: a whole time without a word. Gives when the last one came.
fn wait_for_silence(manager: &Manager) -> Instant {
    let start = Instant::now();
    let mut last = start;
    while manager.hear(WATCHDOG).is_some() {
        last = Instant::now();
        assert!(start.elapsed() < 20 * WATCHDOG, "systemd is told on and on that all is well");
    }
    last
}

#[test]
fn a_worker_that_hangs_is_named_and_the_watchdog_hears_nothing_more() {
    let manager = Manager::listen();
    let unit = manager.unit(&["--workers", "2", "--accept", "shared", "--lab", "--park-after", "1h"]);
    let server = unit.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string()).start();
    manager.wait_for("READY=1");
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");
    let mut clients: Vec<_> = (0..BURNS).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/json").status, 200);
    }
    let hung = Instant::now();
    for client in &mut clients {
        client.send(request("GET", "/lab/burn?bits=24"));
    }
    server.wait_for_line("word of the worker", |line| {
        (line.contains("not turning: worker ") && line.contains("WatchdogSec=")).then_some(())
    });
    let last = wait_for_silence(&manager);
    let took = last.saturating_duration_since(hung);
    figure(
        "a worker hangs",
        format_args!("last word to the watchdog {took:.1?} after it hung, with WatchdogSec={WATCHDOG:?}"),
    );
}

/// The wait that such a line announces: none, or some in milliseconds or seconds.
fn announced_wait(line: &str) -> Duration {
    let seconds = line.split_once("starting another in ").and_then(|(_, wait)| {
        let (number, unit) = wait.split_at(wait.find(char::is_alphabetic)?);
        let number: f64 = number.parse().ok()?;
        Some(if unit == "ms" { number / 1e3 } else { number })
    });
    Duration::from_secs_f64(seconds.unwrap_or_default())
}

#[test]
fn a_worker_that_waits_to_be_started_again_for_longer_than_the_watchdog_is_no_reason_to_end_the_service() {
    let manager = Manager::listen();
    let unit = manager.unit(&["--workers", "1", "--lab"]);
    let server = unit.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string()).start();
    manager.wait_for("READY=1");
    // One that does not live is started again after ever longer waits, up to five seconds; one that happens to live begins anew.
    let mut panics = 0;
    wait_until("a wait that is longer than the watchdog's", PATIENCE, || {
        let mut client = server.connect();
        client.send(request("GET", "/lab/panic?in=worker"));
        client.expect_close();
        manager.forget();
        panics += 1;
        let mut told = 0;
        let wait = server.wait_for_line("what comes of the panic", |line| {
            told += usize::from(line.contains(" is gone: "));
            (told == panics).then(|| announced_wait(line))
        });
        (wait > WATCHDOG.mul_f64(1.5)).then_some(())
    });
    let mut next = server.connect();
    next.send(request("GET", "/json"));
    manager.forget();
    let waiting = Instant::now();
    while !next.arrived() {
        assert!(manager.hear(WATCHDOG).is_some(), "nothing was told for {WATCHDOG:?}:\n{}", server.stderr());
        assert!(waiting.elapsed() < PATIENCE, "{}", server.stderr());
    }
    assert!(waiting.elapsed() > WATCHDOG, "it waited for {:?} only", waiting.elapsed());
    assert!(!server.stderr().contains("not turning"), "{}", server.stderr());
}

#[test]
fn a_process_that_hangs_is_named_until_it_goes_on() {
    let manager = Manager::listen();
    let unit = manager.unit(&["--processes", "2", "--workers", "1"]);
    let server = unit.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string()).start();
    manager.wait_for("READY=1");
    manager.wait_for("WATCHDOG=1");
    let hung = server.children(2)[1];
    signal(hung, Signal::STOP);
    server.wait_for_lines(&format!("not turning: process 1 (pid {hung})"), 1);
    wait_for_silence(&manager);
    signal(hung, Signal::CONT);
    manager.wait_for("WATCHDOG=1");
    server.wait_for_lines("all event loops turn again", 1);
}
