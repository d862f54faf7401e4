//! A stop of several processes: as of one.
//!
//! **Invariant:** when the supervisor has ended nothing of the service is left.

use rustix::process::Signal;

use super::{ACCEPTS, Replaceable, two_processes};
use crate::harness::processes::{self, is_alive};
use crate::harness::{Client, DataDirectory, PATIENCE, ServerSetup, TestDatabase, request};
use crate::lifecycle::load::{
    ask_to_the_end, drain_under_load, stop_so_under_one_shot_clients, stop_under_one_shot_clients,
    wait_for_load,
};

#[test]
fn a_stop_of_several_processes_under_load_loses_no_request() {
    let database = TestDatabase::create();
    for (accept, signal) in ACCEPTS.into_iter().zip([Signal::TERM, Signal::INT, Signal::TERM]) {
        drain_under_load(two_processes(&database, accept).start(), signal);
    }
}

#[test]
fn a_stop_under_one_shot_clients_loses_none_of_several_processes_either() {
    let database = TestDatabase::create();
    for accept in ACCEPTS {
        stop_under_one_shot_clients(two_processes(&database, accept).start());
    }
}

#[test]
fn a_stop_that_reaches_the_processes_too_before_and_after_loses_no_request_either() {
    let database = TestDatabase::create();
    for accept in ACCEPTS {
        let server = two_processes(&database, accept).start();
        let children = server.children(2);
        stop_so_under_one_shot_clients(server, |server| {
            processes::signal(children[0], Signal::TERM);
            server.signal(Signal::TERM);
            processes::signal(children[1], Signal::TERM);
        });
    }
}

#[test]
fn what_waits_for_a_dead_process_is_answered_in_a_stop_too() {
    let database = TestDatabase::create();
    for accept in ACCEPTS {
        let program = Replaceable::create();
        let words = ["serve", "--port", "0", "--processes", "2", "--workers", "1", "--accept", accept];
        let mut server = ServerSetup::by(program.path(), &words).env("DATABASE_URL", database.url()).start();
        let children = server.children(2);
        program.replace("/bin/false");
        for child in children {
            processes::signal(child, Signal::KILL);
        }
        server.wait_for_lines("starting another in 800ms", 2);
        program.restore();
        let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(request("GET", "/json"));
        }
        server.signal(Signal::TERM);
        for client in &mut clients {
            assert_eq!(client.receive().status, 200, "{accept}: {}", server.stderr());
        }
        let finished = server.wait(PATIENCE);
        assert_eq!(finished.code, Some(0), "{accept}: {}", finished.stderr);
    }
}

#[test]
fn a_stop_of_one_process_with_an_acceptor_loses_no_request() {
    let database = TestDatabase::create();
    for accept in ["shared", "handoff"] {
        let setup = || ServerSetup::with_database(&database).args(&["--accept", accept]);
        drain_under_load(setup().start(), Signal::TERM);
        stop_under_one_shot_clients(setup().start());
    }
}

#[test]
fn ctrl_c_reaches_only_the_supervisor_which_stops_postgresql_last() {
    let data = DataDirectory::create();
    let mut server = ServerSetup::of(&["serve", "--port", "0", "--processes", "2", "--workers", "1"])
        .arg("--data-dir")
        .arg(data.path())
        .in_its_own_group()
        .start();
    let postmaster = data.postmaster().expect("a running PostgreSQL");
    let children = server.children(2);
    let answered = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|number| {
                let (answered, client) = (&answered, Client::connect(server.address()));
                scope.spawn(move || ask_to_the_end(client, number, answered))
            })
            .collect();
        wait_for_load(&answered, 300);
        server.signal_group(Signal::INT);
        for client in clients {
            client.join().unwrap().unwrap_or_else(|why| panic!("a request went unanswered: {why}"));
        }
    });
    let finished = server.wait(PATIENCE);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(!finished.stderr.contains("is leaving"), "a process heard Ctrl-C: {}", finished.stderr);
    assert!(!DataDirectory::is_alive(postmaster), "PostgreSQL outlived the service");
    assert!(!children.into_iter().any(is_alive));
}

#[test]
fn a_second_signal_or_sigquit_ends_all_processes_at_once() {
    let database = TestDatabase::create();
    for signals in [&[Signal::TERM, Signal::TERM][..], &[Signal::QUIT]] {
        let mut server = two_processes(&database, "reuseport")
            .args(&["--drain-grace", "60s", "--drain-deadline", "90s"])
            .start();
        let children = server.children(2);
        let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.get("/db").status, 200);
        }
        server.signal(signals[0]);
        if let Some(second) = signals.get(1) {
            // Two at once would be one to the kernel.
            server.wait_for_lines("stopping:", 1);
            server.signal(*second);
        }
        let finished = server.wait(PATIENCE);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(!children.into_iter().any(is_alive));
    }
}

#[test]
fn a_process_that_does_not_end_is_killed_and_the_exit_code_tells() {
    let database = TestDatabase::create();
    let mut server = two_processes(&database, "reuseport")
        .args(&["--drain-grace", "50ms", "--drain-deadline", "100ms", "--max-connections", "64"])
        .start();
    let children = server.children(2);
    processes::signal(children[0], Signal::STOP);
    let finished = server.stop();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("is killed"), "{}", finished.stderr);
    assert!(!children.into_iter().any(is_alive));
}
