//! A service whose output nobody reads any more, as under `plimsoll serve 2>&1 | head`.
//!
//! **Invariant:** the reading end is closed before the service has something to say.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use crate::harness::{Client, Forwarder, PATIENCE, ServerSetup, TestDatabase, wait_until};

#[test]
fn a_standard_error_that_is_gone_ends_nothing() {
    let database = TestDatabase::create();
    let mut forwarder = Forwarder::start();
    let mut setup = ServerSetup::with_url(&database.url_through(forwarder.port()));
    let mut child = setup.command().stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let (found, address) = std::sync::mpsc::channel();
    // The reader ends, and its end of the pipe with it, when it has seen the address.
    std::thread::spawn(move || {
        let address = |line: String| {
            line.trim().strip_prefix("listening")?.trim().strip_prefix("http://")?.parse().ok()
        };
        found.send(BufReader::new(stderr).lines().find_map(|line| address(line.ok()?)))
    });
    let address = address.recv_timeout(PATIENCE);
    let Ok(Some(address)) = address else {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("no address in the banner: {address:?}");
    };
    let alive = |forwarder: &mut Forwarder| {
        let mut client = Client::connect(address);
        wait_until("the database to be reached", Duration::from_secs(10), || {
            (client.get("/db").status == 200).then_some(())
        });
        // The loss and the return are logged, by the workers.
        forwarder.cut();
        wait_until("the loss to be noticed", Duration::from_secs(10), || {
            (client.get("/db").status == 503).then_some(())
        });
        forwarder.restore();
        wait_until("the database to be back", Duration::from_secs(10), || {
            (client.get("/db").status == 200).then_some(())
        });
    };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..3 {
            alive(&mut forwarder);
        }
    }));
    let still_there = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(still_there, "the service ended");
    outcome.expect("a service that goes on");
}
