//! A worker that hangs, by work that never yields, and a stop that comes meanwhile.
//!
//! **Invariant:** a worker hangs for far longer than its stop may take, so that an end in time has one reason.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::figure;
use crate::harness::processes::is_alive;
use crate::harness::{
    Client, DataDirectory, PATIENCE, ServerSetup, TestServer, request, unused_port, wait_until,
};

/// Requests that compute for about a second each, or longer.
const BURNS: usize = 64;

/// What a drain may take.
const DEADLINE: Duration = Duration::from_millis(600);

/// How much longer the service waits for those that do not keep to that, with so few connections.
const PATIENCE_OF_STOP: Duration = Duration::from_secs(1);

/// What the end of everything else may take besides: the private PostgreSQL's above all.
const REST: Duration = Duration::from_secs(5);

fn serve(words: &[&str]) -> ServerSetup {
    let bounds = ["--drain-grace", "100ms", "--drain-deadline", "600ms", "--max-connections", "1000"];
    // Parked ones are woken one after the other, and would be burnt for singly.
    ServerSetup::of(&["serve", "--port", "0", "--lab", "--park-after", "1h"]).args(&bounds).args(words)
}

/// Keeps every worker busy for a minute or so, and gives the connections by which it does.
fn hang(server: &TestServer) -> Vec<Client> {
    let mut clients: Vec<_> = (0..BURNS).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/json").status, 200);
    }
    for client in &mut clients {
        client.send(request("GET", "/lab/burn?bits=24"));
    }
    let mut other = server.connect();
    other.send(request("GET", "/json"));
    other.expect_silence(Duration::from_millis(100));
    clients.push(other);
    clients
}

#[test]
fn a_worker_that_hangs_is_left_behind_past_the_deadline_and_postgresql_stopped_after_it() {
    let data = DataDirectory::create();
    let mut server =
        serve(&["--workers", "1", "--pool-per-core", "2"]).arg("--data-dir").arg(data.path()).start();
    let postmaster = data.postmaster().expect("a running PostgreSQL");
    let _clients = hang(&server);
    let start = Instant::now();
    let finished = server.stop();
    let took = start.elapsed();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("worker 0 did not end"), "{}", finished.stderr);
    assert!(took >= DEADLINE + PATIENCE_OF_STOP, "after {took:?}, before its time was over");
    assert!(took < DEADLINE + PATIENCE_OF_STOP + REST, "{took:?}");
    assert!(!DataDirectory::is_alive(postmaster), "PostgreSQL outlived the service");
    assert_eq!(data.postmaster(), None, "PostgreSQL was killed, not stopped");
    figure(
        "a stop while a worker hangs",
        format_args!("ended with 1 after {took:.2?}, deadline {DEADLINE:?}"),
    );
}

#[test]
fn processes_whose_workers_hang_are_ended_with_the_service_and_without_it() {
    let database = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    for signal in [Signal::TERM, Signal::KILL] {
        let mut server =
            serve(&["--processes", "2", "--workers", "1"]).env("DATABASE_URL", &database).start();
        let children = server.children(2);
        let _clients = hang(&server);
        let start = Instant::now();
        server.signal(signal);
        let limit = DEADLINE + PATIENCE_OF_STOP + REST;
        // Without a supervisor they hear of the stop by the end of its channel.
        wait_until("the processes to end", limit, || {
            (!children.iter().any(|child| is_alive(*child))).then_some(())
        });
        let took = start.elapsed();
        let finished = server.wait(PATIENCE);
        assert!((DEADLINE + PATIENCE_OF_STOP..limit).contains(&took), "{signal:?}: {took:?}");
        if signal == Signal::TERM {
            assert_eq!(finished.code, Some(1), "{finished:?}");
        }
        assert!(finished.stderr.contains("worker 0 did not end"), "{signal:?}: {finished:?}");
    }
}
