//! Processes that die: their own connections go with them, and nothing else does.
//!
//! **Invariant:** which connections a process held is read from the kernel before it is killed.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;

use super::{ACCEPTS, Replaceable, two_processes};
use crate::harness::processes::{clients_of, is_alive, signal};
use crate::harness::{Client, DataDirectory, PATIENCE, ServerSetup, TestDatabase, request, wait_until};
use crate::lifecycle::load::wait_for_load;

/// Idle connections are not closed before the test comes to ask on them.
const LONG_GRACE: [&str; 4] = ["--drain-grace", "20s", "--drain-deadline", "25s"];

#[test]
fn of_a_killed_process_only_its_own_connections_fail_and_another_serves() {
    let database = TestDatabase::create();
    for accept in ACCEPTS {
        let server = two_processes(&database, accept).start();
        let children = server.children(2);
        let (answered, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
        let clients: Vec<Client> = (0..24).map(|_| server.connect()).collect();
        let ports: Vec<u16> = clients.iter().map(Client::port).collect();
        let (failed, held) = thread::scope(|scope| {
            let clients: Vec<_> = clients
                .into_iter()
                .map(|mut client| {
                    let (answered, enough) = (&answered, &enough);
                    scope.spawn(move || {
                        while !enough.load(Ordering::Relaxed) {
                            let sent = client.try_send(request("GET", "/db"));
                            match sent.map_err(|error| error.to_string()).and_then(|()| client.try_receive())
                            {
                                Ok(response) => assert_eq!(response.status, 200, "{response:?}"),
                                Err(_) => return true,
                            }
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        false
                    })
                })
                .collect();
            wait_for_load(&answered, 200);
            let held = clients_of(children[0], server.address());
            signal(children[0], Signal::KILL);
            server.wait_for_lines("process 0 serves again", 1);
            // A shared listener may have given all of them to one process.
            if held.len() < ports.len() {
                wait_for_load(&answered, answered.load(Ordering::Relaxed) + 100);
            }
            enough.store(true, Ordering::Relaxed);
            let failed = clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>();
            (failed, held)
        });
        let failed: BTreeSet<u16> =
            ports.into_iter().zip(failed).filter(|(_, failed)| *failed).map(|(port, _)| port).collect();
        assert_eq!(failed, held, "{accept}: connections that failed, and those of the killed process");
        let new = server.children(2);
        assert!(new.contains(&children[1]) && !new.contains(&children[0]), "{children:?} {new:?}");
        for _ in 0..8 {
            assert_eq!(server.connect().get("/db").status, 200);
        }
    }
}

#[test]
fn connections_that_come_while_no_process_is_left_wait_for_the_next() {
    let database = TestDatabase::create();
    for accept in ACCEPTS {
        let server = two_processes(&database, accept).start();
        for child in server.children(2) {
            signal(child, Signal::KILL);
        }
        let mut clients: Vec<Client> = (0..12).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(request("GET", "/json"));
        }
        for client in &mut clients {
            assert_eq!(client.receive().status, 200, "{accept}");
        }
    }
}

#[test]
fn a_process_that_keeps_dying_is_started_more_and_more_slowly_and_the_others_serve() {
    let database = TestDatabase::create();
    let program = Replaceable::create();
    let words = ["serve", "--port", "0", "--processes", "2", "--workers", "1", "--accept", "shared"];
    let server = ServerSetup::by(program.path(), &words).env("DATABASE_URL", database.url()).start();
    let children = server.children(2);
    program.replace("/bin/false");
    signal(children[0], Signal::KILL);
    server.wait_for_lines("starting another in 400ms", 1);
    let waits = ["starting another in 100ms", "starting another in 200ms", "starting another in 400ms"];
    let log = server.stderr();
    let at: Vec<Option<usize>> = waits.iter().map(|wait| log.find(wait)).collect();
    assert!(at.is_sorted() && at[0].is_some(), "{log}");
    for _ in 0..4 {
        assert_eq!(server.connect().get("/db").status, 200);
    }
    program.restore();
    server.wait_for_lines("process 0 serves again", 1);
    assert!(server.children(2).contains(&children[1]));
}

#[test]
fn a_process_that_is_asked_to_end_leaves_its_listeners_to_the_next() {
    let database = TestDatabase::create();
    for accept in ACCEPTS {
        let server = two_processes(&database, accept).args(&LONG_GRACE).start();
        let children = server.children(2);
        let mut clients: Vec<Client> = (0..12).map(|_| server.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.get("/db").status, 200);
        }
        let held = clients_of(children[0], server.address());
        signal(children[0], Signal::TERM);
        server.wait_for_lines("process 0 serves again", 1);
        for client in &mut clients {
            let response = client.get("/db");
            assert_eq!(response.status, 200);
            assert_eq!(response.announces_close(), held.contains(&client.port()), "{accept}: {response:?}");
        }
        wait_until("the first process to end", PATIENCE, || (!is_alive(children[0])).then_some(()));
        for _ in 0..8 {
            assert_eq!(server.connect().get("/db").status, 200);
        }
        assert!(server.children(2).contains(&children[1]));
    }
}

#[test]
fn a_process_that_ends_at_once_leaves_its_listeners_open_to_newcomers() {
    let database = TestDatabase::create();
    for accept in ACCEPTS {
        let server = two_processes(&database, accept).start();
        // More than once: whether listeners are closed in vain is a matter of which thread is first.
        for count in 1..=4 {
            signal(server.children(2)[0], Signal::QUIT);
            server.wait_for_lines("serves again", count);
            for _ in 0..16 {
                assert_eq!(server.connect().get("/json").status, 200, "{accept}");
            }
        }
    }
}

#[test]
fn when_the_supervisor_is_killed_its_processes_end_and_the_port_is_free() {
    let database = TestDatabase::create();
    let mut server = two_processes(&database, "reuseport").args(&LONG_GRACE).start();
    let children = server.children(2);
    let mut client = server.connect();
    assert_eq!(client.get("/db").status, 200);
    server.signal(Signal::KILL);
    let response = client.get("/db");
    assert_eq!(response.status, 200, "what is connected is answered: {response:?}");
    assert_eq!(server.wait(PATIENCE).code, None);
    for child in children {
        wait_until("a process without a supervisor to end", PATIENCE, || (!is_alive(child)).then_some(()));
    }
    TcpListener::bind(server.address()).expect("a free port");
}

#[test]
fn the_private_postgresql_of_a_killed_supervisor_is_taken_over() {
    let data = DataDirectory::create();
    let setup = || {
        ServerSetup::of(&["serve", "--port", "0", "--processes", "2", "--workers", "1", "--data-dir"])
            .arg(data.path())
    };
    let mut server = setup().start();
    assert_eq!(server.connect().get("/db").status, 200);
    let children = server.children(2);
    server.signal(Signal::KILL);
    assert_eq!(server.wait(PATIENCE).code, None);
    for child in children {
        wait_until("a process without a supervisor to end", PATIENCE, || (!is_alive(child)).then_some(()));
    }
    let mut server = setup().start();
    for _ in 0..8 {
        assert_eq!(server.connect().get("/db").status, 200, "{}", server.stderr());
    }
    let postmaster = data.postmaster().expect("a running PostgreSQL");
    assert_eq!(server.stop().code, Some(0));
    assert!(!DataDirectory::is_alive(postmaster), "PostgreSQL outlived the service");
}
