//! As many connections as there may be, and one more.
//!
//! **Invariant:** those who are in are served, whatever becomes of newcomers.

use std::time::Duration;

use crate::harness::{Client, ServerSetup, TestServer, request, wait_until};

fn full_at(most: usize, when_full: &str) -> TestServer {
    ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none")
        .args(&["--max-connections", &most.to_string(), "--when-full", when_full, "--park-after", "1ms"])
        .start()
}

#[test]
fn one_connection_too_many_is_503_and_a_close_until_another_leaves() {
    let server = full_at(10, "refuse");
    let mut clients: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    server.wait_until_parked(10);
    for silent in [true, false] {
        let mut surplus = server.connect();
        if !silent {
            surplus.send(request("GET", "/json"));
        }
        let answer = surplus.receive();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.all("retry-after"), ["1"]);
        assert!(answer.announces_close(), "{answer:?}");
        surplus.expect_close();
    }
    for client in &mut clients {
        assert_eq!(client.get("/json").status, 200);
    }
    clients.pop();
    wait_until("a place to be free again", Duration::from_secs(10), || {
        (server.connect().get("/json").status == 200).then_some(())
    });
}

#[test]
fn a_crowd_beyond_the_limit_is_refused_and_no_descriptor_is_lost() {
    let server = full_at(5, "refuse");
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).map_or(0, Iterator::count);
    let mut insiders: Vec<Client> = (0..5).map(|_| server.connect()).collect();
    server.wait_until_parked(5);
    let before = descriptors();
    for _ in 0..3 {
        let crowd: Vec<Client> = (0..200).map(|_| server.connect()).collect();
        for mut client in crowd {
            // Told in haste, a client may find the connection reset; it is not left waiting.
            if let Ok(answer) = client.try_receive() {
                assert_eq!(answer.status, 503);
            }
        }
    }
    wait_until("the descriptors to be given back", Duration::from_secs(20), || {
        (descriptors() <= before).then_some(())
    });
    for client in &mut insiders {
        assert_eq!(client.get("/json").status, 200);
    }
    let said = server.stderr().matches("--max-connections are taken").count();
    assert!((1..=4).contains(&said), "said {said} times:\n{}", server.stderr());
}

#[test]
fn newcomers_wait_in_the_backlog_where_that_is_asked_for() {
    let server = full_at(3, "wait");
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    server.wait_until_parked(3);
    let mut waiting = server.connect();
    waiting.send(request("GET", "/json"));
    for client in &mut clients {
        assert_eq!(client.get("/json").status, 200);
    }
    assert!(!waiting.arrived(), "it waits");
    clients.pop();
    assert_eq!(waiting.receive().status, 200);
}

#[test]
fn the_longest_idle_connection_makes_room_where_that_is_asked_for() {
    let server = ServerSetup::of(&["serve", "--port", "0", "--workers", "1", "--max-connections", "5"])
        .args(&["--when-full", "evict", "--park-after", "1ms"])
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
        .start();
    let mut clients = Vec::new();
    for number in 1..=5 {
        let mut client = server.connect();
        assert_eq!(client.get("/json").status, 200);
        clients.push(client);
        // Ticks of the idle time are a tenth of a second: each is parked in one of its own.
        server.wait_until_parked(number);
        clients[0].expect_silence(Duration::from_millis(120));
    }
    // The first one speaks again, so that the second is the one that has been idle for longest.
    assert_eq!(clients[0].get("/json").status, 200);
    server.wait_until_parked(5);
    let mut newcomer = server.connect();
    assert_eq!(newcomer.get("/json").status, 200);
    clients.remove(1).expect_close();
    for client in &mut clients {
        assert_eq!(client.get("/json").status, 200);
    }
}

#[test]
fn more_connections_than_descriptors_are_refused_at_the_start() {
    let finished = ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none")
        .args(&["--max-connections", "1000000000"])
        .run();
    assert_eq!(finished.code, Some(78));
    assert!(finished.stderr.contains("RLIMIT_NOFILE"), "{}", finished.stderr);
}
