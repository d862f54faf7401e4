//! A stop in the middle of load.
//!
//! **Invariant:** a client may send until an answer says `Connection: close`; each request it has sent is answered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Client, PATIENCE, ServerSetup, TestDatabase, TestServer, request, wait_until};

const ROUTES: [&str; 5] = ["/db", "/plaintext", "/queries?queries=20", "/updates?queries=5", "/fortunes"];

/// Asks until an answer says that it was the last; gives how many were answered, or what went wrong.
pub(crate) fn ask_to_the_end(
    mut client: Client,
    number: usize,
    answered: &AtomicUsize,
) -> Result<usize, String> {
    for count in 0.. {
        let target = ROUTES[(number + count) % ROUTES.len()];
        client
            .try_send(request("GET", target))
            .map_err(|error| format!("{target} after {count} answers: {error}"))?;
        let response =
            client.try_receive().map_err(|why| format!("{target} after {count} answers: {why}"))?;
        if response.status != 200 {
            return Err(format!("{target} after {count} answers: {response:?}"));
        }
        answered.fetch_add(1, Ordering::Relaxed);
        if response.announces_close() {
            client.expect_close();
            return Ok(count + 1);
        }
    }
    unreachable!("the loop ends with an answer")
}

/// Waits until this many requests were answered.
pub(crate) fn wait_for_load(answered: &AtomicUsize, count: usize) {
    wait_until("the load to run", PATIENCE, || (answered.load(Ordering::Relaxed) > count).then_some(()));
}

pub(crate) fn drain_under_load(mut server: TestServer, signal: Signal) {
    let address = server.address();
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..24)
            .map(|number| {
                // Connected before the load runs, so that no client is late for the stop.
                let (answered, client) = (&answered, Client::connect(address));
                scope.spawn(move || ask_to_the_end(client, number, answered))
            })
            .collect();
        wait_for_load(&answered, 500);
        server.signal(signal);
        for client in clients {
            client.join().unwrap().unwrap_or_else(|why| panic!("a request went unanswered: {why}"));
        }
    });
    let finished = server.wait(Duration::from_secs(5));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[test]
fn sigterm_under_load_loses_no_request() {
    let database = TestDatabase::create();
    drain_under_load(TestServer::on(&database), Signal::TERM);
}

#[test]
fn sigint_under_load_loses_no_request() {
    let database = TestDatabase::create();
    drain_under_load(TestServer::on(&database), Signal::INT);
}

#[test]
fn a_stop_under_load_with_exclusive_checkouts_loses_no_request() {
    let database = TestDatabase::create();
    drain_under_load(
        ServerSetup::with_database(&database).args(&["--dispatch", "exclusive"]).start(),
        Signal::TERM,
    );
}

#[test]
fn one_shot_clients_lose_no_request_either() {
    let database = TestDatabase::create();
    stop_under_one_shot_clients(TestServer::on(&database));
}

pub(crate) fn stop_under_one_shot_clients(server: TestServer) {
    stop_so_under_one_shot_clients(server, |server| server.signal(Signal::TERM));
}

/// The same where the stop is told in another way.
pub(crate) fn stop_so_under_one_shot_clients(mut server: TestServer, stop: impl FnOnce(&TestServer)) {
    let address = server.address();
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let answered = &answered;
                scope.spawn(move || {
                    // A refused connection has sent nothing; one that was taken must be answered.
                    while let Ok(mut client) = Client::try_connect(address) {
                        client.send(request("GET", ROUTES[number % ROUTES.len()]));
                        assert_eq!(client.receive().status, 200);
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        wait_for_load(&answered, 300);
        stop(&server);
        for client in clients {
            client.join().expect("a connection that was taken went unanswered");
        }
    });
    assert_eq!(server.wait(Duration::from_secs(5)).code, Some(0));
}
