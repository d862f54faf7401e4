//! Every database connection taken: who waits for one, how many, and for how long.
//!
//! **Invariant:** a lock that the test holds is what keeps the connections taken, so that nothing depends on speed.

use std::thread;
use std::time::{Duration, Instant};

use super::figure;
use crate::harness::{Client, PATIENCE, ServerSetup, TestDatabase, TestServer, get, request, wait_until};
use crate::telemetry::status;

/// Requests that may wait.
const MAX_WAITING: usize = 20;
const DEADLINE: Duration = Duration::from_secs(2);
/// Requests of 500 queries that a lane takes: the last of them below 8 192 queries in flight.
const ON_A_LANE: usize = 17;

/// One worker with one database connection, which is open.
fn start(database: &TestDatabase, way: &[&str]) -> TestServer {
    let (most, deadline) = (MAX_WAITING.to_string(), format!("{}s", DEADLINE.as_secs()));
    let server = ServerSetup::of(&["serve", "--port", "0", "--workers", "1", "--database-max-conn", "1"])
        .args(&["--max-waiting", &most, "--request-deadline", &deadline])
        .args(way)
        .env("DATABASE_URL", database.url())
        .start();
    assert_eq!(get(&server, "/db").status, 200);
    server
}

fn send(server: &TestServer, count: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(request("GET", "/queries?queries=500"));
    }
    clients
}

/// How long it took until this client was answered with 503 and `Retry-After`.
fn refusal(client: &mut Client, sent: Instant) -> Duration {
    let answer = client.receive();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    sent.elapsed()
}

#[test]
fn as_many_requests_as_may_wait_for_a_connection_until_their_deadline_and_one_more_is_refused_at_once() {
    thread::scope(|scope| {
        for way in ["pipelined", "exclusive"] {
            scope.spawn(move || exhaust(way));
        }
    });
}

/// Takes the one connection, lets as many wait as may, and asks once more.
fn exhaust(way: &str) {
    let database = TestDatabase::create();
    let server = start(&database, &["--dispatch", way]);
    database.admin().run("BEGIN; LOCK TABLE world IN ACCESS EXCLUSIVE MODE");
    let sent = Instant::now();
    let (holders, on_the_lane) = if way == "pipelined" { (ON_A_LANE, 500 * ON_A_LANE) } else { (1, 1) };
    let mut holding = send(&server, holders);
    let pool = || status(&server).now.pool;
    wait_until("the connection to be taken", PATIENCE, || {
        (pool().lanes.iter().map(|lane| *lane as usize).sum::<usize>() == on_the_lane).then_some(())
    });
    let began = Instant::now();
    let mut waiting = send(&server, MAX_WAITING);
    wait_until("all of them to wait", PATIENCE, || (pool().waiting as usize == MAX_WAITING).then_some(()));
    let last_sent = Instant::now();
    let mut one_more = server.connect();
    let asked = Instant::now();
    one_more.send(request("GET", "/db"));
    let at_once = refusal(&mut one_more, asked);
    assert!(!waiting.iter().any(Client::arrived), "{way}: it was refused before the others were");
    assert_eq!(one_more.get("/json").status, 200);
    for client in &mut holding {
        refusal(client, sent);
    }
    let waited: Vec<Duration> = waiting.iter_mut().map(|client| refusal(client, began)).collect();
    let longest = waited.iter().max().copied().unwrap_or_default();
    // A busy machine may take some time to get at the sockets.
    let limit = DEADLINE + (last_sent - began) + Duration::from_secs(1);
    assert!(longest <= limit, "{way}: {longest:?}");
    database.admin().run("ROLLBACK");
    wait_until("the routes to answer again", Duration::from_secs(2), || {
        waiting.iter_mut().all(|client| client.get("/db").status == 200).then_some(())
    });
    let said = format!("{MAX_WAITING} waited {longest:.2?}, one more was refused after {at_once:.1?}");
    figure(&format!("pool exhausted, {way}, deadline {DEADLINE:?}"), said);
}
