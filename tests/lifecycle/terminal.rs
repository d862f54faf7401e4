//! Ctrl-C on a terminal: the signal goes to the whole process group, and only the service may hear it.
//!
//! **Invariant:** the service is started in a group of its own, which is then signalled as a terminal would.

use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::load::{ask_to_the_end, wait_for_load};
use crate::harness::{Client, DataDirectory, ServerSetup};

#[test]
fn ctrl_c_during_load_loses_no_request_and_postgresql_stops_last() {
    let data = DataDirectory::create();
    let mut server = ServerSetup::serve().arg("--data-dir").arg(data.path()).in_its_own_group().start();
    let postmaster = data.postmaster().expect("a running PostgreSQL");
    let address = server.address();
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|number| {
                let (answered, client) = (&answered, Client::connect(address));
                scope.spawn(move || ask_to_the_end(client, number, answered))
            })
            .collect();
        wait_for_load(&answered, 500);
        server.signal_group(Signal::INT);
        for client in clients {
            // An answer other than 200 here is a database that went away before its clients were answered.
            client.join().unwrap().unwrap_or_else(|why| panic!("a request went unanswered: {why}"));
        }
    });
    let finished = server.wait(Duration::from_secs(10));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(!DataDirectory::is_alive(postmaster), "PostgreSQL outlived the service");
}
