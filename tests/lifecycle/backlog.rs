//! Connections that the kernel has taken and the service has not, at the moment of the signal.
//!
//! **Invariant:** the service is stopped by SIGSTOP while they come, so that none can have been accepted before.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Client, ServerSetup, TestDatabase, TestServer, request, unused_port};

#[test]
fn connections_waiting_in_the_backlog_are_answered() {
    let database = TestDatabase::create();
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = TestServer::on(&database);
        assert_eq!(server.connect().get("/db").status, 200);
        server.signal(Signal::STOP);
        let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
        for (client, target) in clients.iter_mut().zip(["/db", "/json", "/fortunes"].iter().cycle()) {
            client.send(request("GET", target));
        }
        server.signal(signal);
        server.signal(Signal::CONT);
        for client in &mut clients {
            let response = client.receive();
            // One that was accepted a moment before the signal was noticed is closed as an idle connection is.
            assert_eq!(response.status, 200, "{response:?}");
            client.expect_close();
        }
        assert_eq!(server.wait(Duration::from_secs(10)).code, Some(0));
    }
}

#[test]
fn a_connection_from_the_backlog_that_sends_late_is_answered_within_the_grace() {
    let nowhere = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    let patient = ["--drain-grace", "20s", "--drain-deadline", "30s"];
    let mut server = ServerSetup::with_url(&nowhere).args(&patient).start();
    server.signal(Signal::STOP);
    let mut clients: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    super::wait_until_refused(server.address());
    for client in &mut clients {
        let response = client.get("/json");
        assert_eq!(response.status, 200);
        assert!(response.announces_close(), "{response:?}");
    }
    assert_eq!(server.wait(Duration::from_secs(10)).code, Some(0));
}
