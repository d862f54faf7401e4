//! A reload of several processes: one after the other is replaced, and nobody notices.
//!
//! **Invariant:** clients connect and ask all the while; each attempt and each request counts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;

use super::{ACCEPTS, Replaceable, settings_file, two_processes};
use crate::harness::processes::words_of;
use crate::harness::{Client, ServerSetup, TestDatabase, TestServer, request};
use crate::lifecycle::load::wait_for_load;

const DONE: &str = "reload: done";

/// How many reloads each way of accepting is put through.
fn reloads() -> usize {
    std::env::var("PLIMSOLL_TEST_RELOADS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// Asks on a connection until it is closed in due form, and on a new one after that, until it is enough.
fn ask_on_and_on(server: &TestServer, answered: &AtomicUsize, enough: &AtomicBool) -> Result<(), String> {
    while !enough.load(Ordering::Relaxed) {
        let mut client =
            Client::try_connect(server.address()).map_err(|error| format!("no connection: {error}"))?;
        loop {
            let sent = client.try_send(request("GET", "/db")).map_err(|error| error.to_string());
            let response = sent.and_then(|()| client.try_receive())?;
            if response.status != 200 {
                return Err(format!("{response:?}"));
            }
            answered.fetch_add(1, Ordering::Relaxed);
            if response.announces_close() {
                client.expect_close();
                break;
            }
            if enough.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[test]
fn reloads_under_load_lose_no_request_and_refuse_no_connection() {
    let database = TestDatabase::create();
    for accept in ACCEPTS {
        let server = two_processes(&database, accept).start();
        let (answered, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let clients: Vec<_> =
                (0..16).map(|_| scope.spawn(|| ask_on_and_on(&server, &answered, &enough))).collect();
            wait_for_load(&answered, 100);
            for count in 1..=reloads() {
                let before = server.children(2);
                server.signal(Signal::HUP);
                server.wait_for_lines(DONE, count);
                let after = server.children(2);
                assert!(before.iter().all(|pid| !after.contains(pid)), "{before:?} {after:?}");
            }
            enough.store(true, Ordering::Relaxed);
            for client in clients {
                client.join().unwrap().unwrap_or_else(|why| panic!("{accept}: {why}\n{}", server.stderr()));
            }
        });
    }
}

#[test]
fn a_reload_puts_the_file_as_it_is_now_in_force() {
    let database = TestDatabase::create();
    let (_folder, path) = settings_file("idle-timeout = '60s'\n");
    let server = two_processes(&database, "reuseport").arg("--config").arg(&path).start();
    std::fs::write(&path, "idle-timeout = '50s'\nlog = 'debug'\n").unwrap();
    server.signal(Signal::HUP);
    server.wait_for_lines(DONE, 1);
    for child in server.children(2) {
        let words = words_of(child);
        for word in ["--idle-timeout=50s", "--log=debug"] {
            assert!(words.iter().any(|other| other == word), "no {word} in {words:?}");
        }
    }
    assert_eq!(server.connect().get("/db").status, 200);
}

#[test]
fn a_bad_configuration_is_refused_and_the_old_one_goes_on() {
    let database = TestDatabase::create();
    let (_folder, path) = settings_file("idle-timeout = '60s'\n");
    let server = two_processes(&database, "reuseport").arg("--config").arg(&path).start();
    let children = server.children(2);
    for (count, (text, said)) in [
        ("idle-timeout = 'soon'\n", "idle-timeout"),
        ("idle-timeout = \n", "line 1"),
        ("no-such-key = 1\n", "no-such-key"),
        ("drain-grace = '9s'\n", "--drain-grace"),
        ("database-max-conn = 1\n", "DATABASE_MAX_CONN is 1"),
        ("sched = 'batch'\nhost = '127.0.0.2'\n", "--host takes effect only at a restart"),
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(&path, text).unwrap();
        server.signal(Signal::HUP);
        server.wait_for_lines("reload: refused", count + 1);
        let line = server.stderr().lines().rfind(|line| line.contains("reload: refused")).map(str::to_owned);
        assert!(line.as_ref().is_some_and(|line| line.contains(said)), "no {said} in {line:?}");
    }
    assert_eq!(server.children(2), children);
    assert_eq!(server.connect().get("/db").status, 200);
}

#[test]
fn a_reload_asked_for_during_a_reload_follows_it() {
    let database = TestDatabase::create();
    let server = two_processes(&database, "reuseport").start();
    // Idle connections hold a process that retires for its grace.
    let idle: Vec<Client> = (0..12).map(|_| server.connect()).collect();
    server.signal(Signal::HUP);
    server.wait_for_lines("reload: process 0 is pid", 1);
    server.signal(Signal::HUP);
    server.signal(Signal::HUP);
    server.wait_for_lines(DONE, 2);
    server.signal(Signal::HUP);
    server.wait_for_lines(DONE, 3);
    assert_eq!(server.stderr().matches(DONE).count(), 3, "the second one is remembered once");
    drop(idle);
}

#[test]
fn a_stop_during_a_reload_stops_all() {
    let database = TestDatabase::create();
    let grace = ["--drain-grace", "20s", "--drain-deadline", "30s"];
    let mut server = two_processes(&database, "reuseport").args(&grace).start();
    let mut clients: Vec<Client> = (0..12).map(|_| server.connect()).collect();
    server.signal(Signal::HUP);
    server.wait_for_lines("reload: process 0 is pid", 1);
    server.signal(Signal::TERM);
    for client in &mut clients {
        assert_eq!(client.get("/db").status, 200);
    }
    let finished = server.wait(crate::harness::PATIENCE);
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
fn a_new_process_that_cannot_serve_ends_the_reload_and_the_old_one_goes_on() {
    let database = TestDatabase::create();
    let program = Replaceable::create();
    let words = ["serve", "--port", "0", "--processes", "2", "--workers", "1"];
    let mut server = ServerSetup::by(program.path(), &words).env("DATABASE_URL", database.url()).start();
    let children = server.children(2);
    program.remove();
    server.signal(Signal::HUP);
    server.wait_for_lines("reload: abandoned", 1);
    program.replace("/bin/false");
    server.signal(Signal::HUP);
    server.wait_for_lines("reload: abandoned", 2);
    assert_eq!(server.children(2), children);
    assert_eq!(server.connect().get("/db").status, 200);
    program.restore();
    server.signal(Signal::HUP);
    server.wait_for_lines(DONE, 1);
    assert_eq!(server.stop().code, Some(0));
}
