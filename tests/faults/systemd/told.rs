//! What systemd is told of a start, a reload and a stop, of one process and of several.
//!
//! **Invariant:** what is told is tried at once, without a second try: a service that says that it is ready is.

use std::net::SocketAddr;

use rustix::process::Signal;

use super::Manager;
use crate::harness::{Client, PATIENCE};

#[test]
fn a_service_says_when_it_is_ready_reloads_and_stops() {
    for words in [["--processes", "1", "--workers", "2"], ["--processes", "2", "--workers", "1"]] {
        let manager = Manager::listen();
        // The watchdog is another process's.
        let unit = manager.unit(&words).env("WATCHDOG_USEC", "100000").env("WATCHDOG_PID", "1");
        let mut service = unit.launch();
        let (ready, before) = manager.wait_for("READY=1");
        assert_eq!(before, [""; 0], "it is ready before it says anything else");
        let address = ready.lines().find_map(|line| line.strip_prefix("STATUS=listening on http://"));
        let address: SocketAddr = address.expect(&ready).parse().expect(&ready);
        assert_eq!(Client::connect(address).get("/json").status, 200);

        service.signal(Signal::HUP);
        let (reloading, _) = manager.wait_for("RELOADING=1");
        let since =
            reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")?.parse::<u64>().ok());
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = u64::try_from(now.tv_sec).unwrap() * 1_000_000;
        assert!(
            since.is_some_and(|since| since > now - 60_000_000 && since < now + 1_000_000),
            "{reloading}"
        );
        let (_, before) = manager.wait_for("READY=1");
        assert_eq!(before, [""; 0]);

        service.signal(Signal::TERM);
        let (_, before) = manager.wait_for("STOPPING=1");
        assert_eq!(before, [""; 0], "not a word of a watchdog that is not ours");
        assert_eq!(service.wait(PATIENCE).code, Some(0));
    }
}

#[test]
fn a_manager_that_is_not_there_is_named_and_holds_nothing_up() {
    let manager = Manager::listen();
    let unit = manager.unit(&["--workers", "1"]).env("NOTIFY_SOCKET", "/nowhere/at/all");
    let mut server = unit.start();
    server.wait_for_lines("systemd was not told \"READY=1\"", 1);
    assert_eq!(server.connect().get("/json").status, 200);
    assert_eq!(server.stop().code, Some(0));
}
