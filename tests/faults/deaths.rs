//! Processes of a service that are killed: what newcomers meet meanwhile. What becomes of open connections is in `topology::deaths`.
//!
//! **Invariant:** a process is killed when it serves, and each one that is killed has served.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::figure;
use crate::harness::processes::signal;
use crate::harness::{Client, ServerSetup, unused_port};

#[test]
fn newcomers_are_answered_while_processes_are_killed_one_after_the_other() {
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    let words = ["serve", "--port", "0", "--processes", "2", "--workers", "1"];
    let server = ServerSetup::of(&words).env("DATABASE_URL", url).start();
    let (mut worst, kills) = (Duration::ZERO, 4);
    for kill in 0..kills {
        let victim = server.children(2)[kill % 2];
        signal(victim, Signal::KILL);
        let start = Instant::now();
        let mut newcomers: Vec<Client> = (0..16).map(|_| server.connect()).collect();
        for client in &mut newcomers {
            assert_eq!(client.get("/json").status, 200);
        }
        worst = worst.max(start.elapsed());
        server.wait_for_lines("serves again", kill + 1);
        assert!(!server.children(2).contains(&victim));
    }
    let said = server.stderr().lines().filter(|line| line.contains("is gone: signal: 9")).count();
    assert_eq!(said, kills, "{}", server.stderr());
    figure(
        "a process killed",
        format_args!("{kills} times: 16 newcomers answered after {worst:.0?} at the most"),
    );
}
