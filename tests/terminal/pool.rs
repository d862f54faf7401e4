//! `pool resize`, `pause` and `resume` on a real service.
//!
//! **Invariant:** what was done is read back from the service, not from what the command printed.

use plimsoll::telemetry::status::Status;

use crate::harness::{Finished, PATIENCE, ServerSetup, TestDatabase, TestServer, request, wait_until};

fn run(server: &TestServer, words: &[&str]) -> Finished {
    ServerSetup::of(words).arg("--admin-socket").arg(server.admin_socket()).run()
}

fn status(server: &TestServer) -> Status {
    serde_json::from_str(&run(server, &["status", "--json"]).stdout).expect("a page")
}

#[test]
fn a_pool_is_resized_for_each_core_and_in_all() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let cores = status(&server).service.cores;
    let finished = run(&server, &["pool", "resize", "5"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(!finished.stdout.is_empty(), "it says what was done");
    assert_eq!(status(&server).now.pool.max_size, 5 * cores);
    let finished = run(&server, &["pool", "resize", "--total", "3"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(status(&server).now.pool.max_size, 3);
    assert_eq!(server.connect().get("/db").status, 200);
}

#[test]
fn a_size_that_cannot_be_had_is_refused_and_nothing_changes() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let before = status(&server).now.pool.max_size;
    for words in [&["pool", "resize", "--total", "100000"][..], &["pool", "resize", "--total", "1"]] {
        let finished = run(&server, words);
        assert_eq!(finished.code, Some(1), "{words:?}: {finished:?}");
        assert!(finished.stderr.contains("refuses"), "{finished:?}");
    }
    assert_eq!(status(&server).now.pool.max_size, before);
}

#[test]
fn a_paused_pool_holds_requests_for_the_database_and_no_others_until_it_goes_on() {
    let database = TestDatabase::create();
    let server = ServerSetup::with_database(&database).args(&["--request-deadline", "60s"]).start();
    let mut client = server.connect();
    assert_eq!(client.get("/db").status, 200);
    assert_eq!(run(&server, &["pool", "pause"]).code, Some(0));
    let shown = run(&server, &["status"]);
    assert!(status(&server).paused && shown.stdout.contains("plimsoll pool resume"), "{shown:?}");
    client.send(request("GET", "/db"));
    wait_until("the request to be held", PATIENCE, || (status(&server).now.in_flight == 1).then_some(()));
    assert_eq!(server.connect().get("/json").status, 200);
    assert_eq!(status(&server).now.in_flight, 1, "the other one is still held");
    assert_eq!(run(&server, &["pool", "resume"]).code, Some(0));
    assert_eq!(client.receive().status, 200);
    assert!(!status(&server).paused);
}
