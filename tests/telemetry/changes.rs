//! Changes to a running service by its Unix socket: the size of the pools, and requests that are held back.
//!
//! **Invariant:** no request fails because the pools change.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;

use super::{by_socket, status};
use crate::harness::processes::signal;
use crate::harness::{Client, Cluster, PATIENCE, ServerSetup, TestDatabase, TestServer, request, wait_until};
use crate::lifecycle::load::wait_for_load;

/// One process of two workers, and two of one.
const TOPOLOGIES: [[&str; 4]; 2] =
    [["--processes", "1", "--workers", "2"], ["--processes", "2", "--workers", "1"]];

fn setup(database: &TestDatabase, topology: [&str; 4]) -> ServerSetup {
    ServerSetup::of(&["serve", "--port", "0"]).args(&topology).env("DATABASE_URL", database.url())
}

fn change(server: &TestServer, what: &str) {
    let answer = by_socket(server, "POST", what);
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
}

fn wait_for_size(server: &TestServer, total: u32) {
    wait_until(&format!("pools of {total} in all"), PATIENCE, || {
        let seen = status(server);
        (seen.now.pool.max_size == total && seen.service.connections_total == total).then_some(())
    });
}

#[test]
fn pools_grow_and_shrink_under_load_without_a_failed_request() {
    let database = TestDatabase::create();
    for dispatch in ["pipelined", "exclusive"] {
        for topology in TOPOLOGIES {
            let server = setup(&database, topology).args(&["--dispatch", dispatch]).start();
            let (answered, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
            thread::scope(|scope| {
                for mut client in (0..16).map(|_| server.connect()).collect::<Vec<Client>>() {
                    let (answered, enough) = (&answered, &enough);
                    scope.spawn(move || {
                        while !enough.load(Ordering::Relaxed) {
                            assert_eq!(client.get("/queries?queries=3").status, 200);
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                for total in [2, 12, 5, 2, 9] {
                    wait_for_load(&answered, answered.load(Ordering::Relaxed) + 20);
                    change(&server, &format!("/pool/resize?total={total}"));
                    wait_for_size(&server, total);
                }
                wait_for_load(&answered, answered.load(Ordering::Relaxed) + 20);
                enough.store(true, Ordering::Relaxed);
            });
        }
    }
}

#[test]
fn a_size_is_for_each_core_or_in_all_and_a_reload_goes_back_to_the_settings() {
    let database = TestDatabase::create();
    for topology in TOPOLOGIES {
        let server = setup(&database, topology).start();
        let by_settings = status(&server).service;
        let answer = by_socket(&server, "POST", "/pool/resize?per_core=5");
        assert!(answer.text().contains("5 per core"), "{}", answer.text());
        wait_for_size(&server, 5 * by_settings.cores);
        change(&server, "/pool/resize?total=3");
        wait_for_size(&server, 3);
        server.signal(Signal::HUP);
        wait_for_size(&server, by_settings.connections_total);
    }
}

#[test]
fn a_process_that_is_started_again_has_its_share_of_the_new_size() {
    let database = TestDatabase::create();
    let server = setup(&database, TOPOLOGIES[1]).start();
    change(&server, "/pool/resize?total=6");
    wait_for_size(&server, 6);
    let killed = server.children(2)[0];
    signal(killed, Signal::KILL);
    wait_until("another in its place", PATIENCE, || {
        let seen = status(&server);
        (seen.processes.len() == 2 && seen.processes.iter().all(|process| process.pid != killed))
            .then_some(())
    });
    wait_for_size(&server, 6);
}

#[test]
fn a_size_that_cannot_be_is_refused_with_why_and_nothing_changes() {
    let database = TestDatabase::create();
    for topology in TOPOLOGIES {
        let server = setup(&database, topology).start();
        let before = status(&server).service;
        for (what, status, word) in [
            ("total=1", 400, "each of the 2 workers"),
            ("total=1000", 409, "PostgreSQL has"),
            ("total=4000000000", 400, "1000 for each core"),
            ("per_core=0", 400, "above 0"),
            ("size=5", 400, "?per_core=N"),
        ] {
            let refused = by_socket(&server, "POST", &format!("/pool/resize?{what}"));
            assert_eq!(refused.status, status, "{what}: {}", refused.text());
            assert!(refused.text().contains(word), "{what}: {}", refused.text());
        }
        assert_eq!(status(&server).service, before);
        assert_eq!(server.connect().get("/db").status, 200);
    }
}

#[test]
fn after_a_reload_to_another_postgresql_a_size_is_judged_by_the_room_in_that_one() {
    let database = TestDatabase::create();
    // Three of these are kept for superusers.
    let small = Cluster::start(20);
    small.administer("postgres").run("CREATE ROLE plimsoll LOGIN PASSWORD 'secret'");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plimsoll.toml");
    let names = |url: &str| std::fs::write(&file, format!("database-url = '{url}'\n")).unwrap();
    names(&database.url());
    let topology = TOPOLOGIES[1].iter().copied();
    let words: Vec<&str> =
        ["serve", "--port", "0", "--pool-per-core", "1"].into_iter().chain(topology).collect();
    let server = ServerSetup::of(&words).arg("--config").arg(&file).start();
    names(&small.url("postgres"));
    server.signal(Signal::HUP);
    server.wait_for_lines("reload: done", 1);
    let refused = by_socket(&server, "POST", "/pool/resize?total=30");
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("PostgreSQL has"), "{}", refused.text());
    change(&server, "/pool/resize?total=8");
    wait_for_size(&server, 8);
}

#[test]
fn requests_that_are_held_back_are_answered_when_they_may_go_on() {
    let database = TestDatabase::create();
    for topology in TOPOLOGIES {
        let server = setup(&database, topology).args(&["--request-deadline", "60s"]).start();
        change(&server, "/pool/pause");
        assert!(status(&server).paused);
        let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.get("/json").status, 200, "what needs no database goes on");
            client.send(request("GET", "/db"));
        }
        wait_until("all of them to be on their way", PATIENCE, || {
            (status(&server).now.in_flight == 8).then_some(())
        });
        assert!(clients.iter().all(|client| !client.arrived()), "none is answered");
        change(&server, "/pool/resume");
        for client in &mut clients {
            assert_eq!(client.receive().status, 200);
        }
        assert!(!status(&server).paused);
    }
}

#[test]
fn requests_that_are_held_back_are_answered_by_a_process_that_ends() {
    let database = TestDatabase::create();
    for (topology, how) in
        [(TOPOLOGIES[0], Signal::TERM), (TOPOLOGIES[1], Signal::TERM), (TOPOLOGIES[1], Signal::HUP)]
    {
        let server = setup(&database, topology).args(&["--request-deadline", "60s"]).start();
        change(&server, "/pool/pause");
        let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(request("GET", "/db"));
        }
        wait_until("all of them to be on their way", PATIENCE, || {
            // The order reaches workers one by one: a request that is quicker than it is answered at once.
            (status(&server).totals.begun == 8).then_some(())
        });
        server.signal(how);
        for client in &mut clients {
            assert_eq!(client.receive().status, 200, "{topology:?} {how:?}");
        }
    }
}

#[test]
fn a_process_that_is_started_during_a_pause_holds_back_too() {
    let database = TestDatabase::create();
    let server = setup(&database, TOPOLOGIES[1]).args(&["--request-deadline", "200ms"]).start();
    change(&server, "/pool/pause");
    let killed = server.children(2)[0];
    signal(killed, Signal::KILL);
    server.wait_for_lines("process 0 serves again", 1);
    wait_until("both to hold back", PATIENCE, || {
        (0..8).all(|_| server.connect().get("/db").status == 503).then_some(())
    });
    change(&server, "/pool/resume");
    assert!((0..8).all(|_| server.connect().get("/db").status == 200));
}
