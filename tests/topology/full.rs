//! The most connections, where an acceptor hands them on, and where several processes share them out.
//!
//! **Invariant:** the limit is reached before the connection is made that is one too many.

use crate::harness::{Client, ServerSetup};

const NOWHERE: &str = "postgres://me@127.0.0.1:1/none";

fn handoff(when_full: &str) -> ServerSetup {
    ServerSetup::of(&[
        "serve",
        "--port",
        "0",
        "--workers",
        "2",
        "--accept",
        "handoff",
        "--max-connections",
        "4",
    ])
    .args(&["--when-full", when_full])
    .env("DATABASE_URL", NOWHERE)
}

#[test]
fn one_connection_too_many_is_refused_behind_an_acceptor_too() {
    let server = handoff("refuse").start();
    let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/json").status, 200);
    }
    let mut surplus = server.connect();
    assert_eq!(surplus.receive().status, 503);
    surplus.expect_close();
    assert_eq!(clients[0].get("/json").status, 200);
}

#[test]
fn the_longest_idle_connection_makes_room_behind_an_acceptor_too() {
    let server = handoff("evict").start();
    let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    server.wait_until_parked(4);
    for _ in 0..3 {
        let mut newcomer = server.connect();
        assert_eq!(newcomer.get("/json").status, 200);
        clients.push(newcomer);
    }
    // Whoever made room is closed; four are left at the most.
    let closed = clients.iter().filter(|client| client.arrived()).count();
    assert!(closed >= 3, "{closed} of {} were closed", clients.len());
}

#[test]
fn newcomers_wait_in_the_backlog_behind_an_acceptor_too() {
    let server = handoff("wait").start();
    let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/json").status, 200);
    }
    let mut waiting = server.connect();
    waiting.send(crate::harness::request("GET", "/json"));
    waiting.expect_silence(std::time::Duration::from_millis(200));
    clients.pop();
    assert_eq!(waiting.receive().status, 200);
}

#[test]
fn the_most_connections_are_divided_between_the_processes() {
    let setup = |most: &str| {
        ServerSetup::of(&["serve", "--port", "0", "--processes", "3", "--max-connections", most])
            .env("DATABASE_URL", NOWHERE)
    };
    let server = setup("10").start();
    let limits = server.wait_for_line("limits", |line| {
        line.trim().strip_prefix("limits").map(|rest| rest.trim().to_owned())
    });
    assert!(limits.starts_with("in each process 4 connections"), "the first has the odd one: {limits}");
    let finished = setup("2").run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(finished.stderr.contains("--max-connections 2"), "{}", finished.stderr);
}
