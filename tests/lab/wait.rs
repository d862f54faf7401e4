//! `/lab/wait`: it waits, and holds up nobody.
//!
//! **Invariant:** that waits overlap is shown by what one worker answers meanwhile, not by how long anything took.

use std::time::{Duration, Instant};

use super::one_worker;
use crate::harness::{Client, request};

#[test]
fn it_waits_for_as_long_as_it_is_asked_to() {
    let server = one_worker().start();
    let mut client = server.connect();
    for ms in [0, 1, 150] {
        let start = Instant::now();
        let response = client.get(&format!("/lab/wait?ms={ms}"));
        assert_eq!(response.text(), format!(r#"{{"waited_ms":{ms}}}"#));
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert!(start.elapsed() >= Duration::from_millis(ms), "{ms} ms: {:?}", start.elapsed());
    }
}

#[test]
fn fifty_waits_are_under_way_on_one_worker_while_it_answers_others() {
    let server = one_worker().start();
    let mut waiting: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    for client in &mut waiting {
        // Longer than this test may take: had the worker waited for one of them, nothing below would be answered.
        client.send(request("GET", "/lab/wait?ms=60000"));
    }
    let mut client = server.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/json").status, 200);
    }
    // Fifty waits of 200 ms would take 10 s one after the other, and all begin before the first of them ends.
    let mut short: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    for client in &mut short {
        client.send(request("GET", "/lab/wait?ms=200"));
    }
    assert_eq!(client.get("/json").status, 200);
    for client in &mut short {
        assert_eq!(client.receive().status, 200);
    }
    assert!(waiting.iter().all(|client| !client.arrived()), "the long ones are still under way");
}

#[test]
fn a_wait_out_of_bounds_is_400_and_says_which_are_meant() {
    let server = one_worker().start();
    let mut client = server.connect();
    for query in
        ["", "?", "?ms=", "?ms=-1", "?ms=60001", "?ms=1s", "?ms=1.5", "?ms=99999999999999999999", "?bits=1"]
    {
        let response = client.get(&format!("/lab/wait{query}"));
        assert_eq!(response.status, 400, "{query}");
        assert!(response.text().contains("0 to 60000"), "{query}: {}", response.text());
    }
    assert_eq!(client.get("/lab/wait?ms=0").status, 200, "the connection goes on");
}

#[test]
fn a_drain_answers_a_wait_that_ends_in_time_and_cuts_off_one_that_does_not() {
    let mut server = one_worker().args(&["--drain-grace", "300ms", "--drain-deadline", "3s"]).start();
    let (mut short, mut long) = (server.connect(), server.connect());
    short.send(request("GET", "/lab/wait?ms=400"));
    long.send(request("GET", "/lab/wait?ms=60000"));
    // Answered after both were read, since one worker takes them in turn.
    assert_eq!(server.connect().get("/json").status, 200);
    let finished = server.stop();
    let response = short.receive();
    assert_eq!(response.status, 200);
    assert!(response.announces_close(), "{response:?}");
    long.expect_close();
    assert!(finished.stderr.contains("1 requests were cut off"), "{}", finished.stderr);
}
