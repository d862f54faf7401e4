//! What is shown of a worker's database connections, as they come and go for causes other than requests.
//!
//! **Invariant:** rows that a test has locked are what keeps a request under way; nothing depends on how fast anything is.

use plimsoll::telemetry::snapshot::Pool;

use super::{by_socket, status};
use crate::harness::{
    Client, Forwarder, PATIENCE, ServerSetup, TestDatabase, TestServer, get, request, wait_until,
};

fn setup(url: &str, way: &[&str]) -> ServerSetup {
    ServerSetup::of(&["serve", "--port", "0", "--workers", "1"]).args(way).env("DATABASE_URL", url)
}

fn start(url: &str, way: &[&str]) -> TestServer {
    setup(url, way).args(&["--request-deadline", "60s"]).start()
}

fn resize(server: &TestServer, total: u32) {
    let answer = by_socket(server, "POST", &format!("/pool/resize?total={total}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    wait_for(server, &format!("a pool of {total}"), |pool| pool.max_size == total);
}

fn wait_for(server: &TestServer, what: &str, wanted: impl Fn(&Pool) -> bool) {
    wait_until(what, PATIENCE, || {
        let pool = status(server).now.pool;
        wanted(&pool).then_some(())
    });
}

/// Clients whose requests wait for a row.
fn update(server: &TestServer, clients: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..clients).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(request("GET", "/updates"));
    }
    clients
}

/// Keeps all rows from being updated until the end of the transaction.
fn lock(database: &TestDatabase) {
    database.admin().run("BEGIN; SELECT FROM public.world FOR UPDATE");
}

#[test]
fn connections_that_end_while_nobody_asks_are_shown_no_longer() {
    let database = TestDatabase::create();
    for way in [["--dispatch", "pipelined"], ["--dispatch", "exclusive"], ["--driver", "direct"]] {
        let mut forwarder = Forwarder::start();
        let server = start(&database.url_through(forwarder.port()), &way);
        assert_eq!(get(&server, "/db").status, 200);
        wait_for(&server, "one", |pool| (pool.size, pool.available, pool.lanes.len()) == (1, 1, 1));
        forwarder.cut();
        wait_for(&server, "none", |pool| (pool.size, pool.available, pool.lanes.len()) == (0, 0, 0));
    }
}

#[test]
fn a_checkout_too_many_is_shown_until_it_is_given_back() {
    let database = TestDatabase::create();
    let server = start(&database.url(), &["--dispatch", "exclusive"]);
    resize(&server, 4);
    lock(&database);
    let mut clients = update(&server, 4);
    wait_for(&server, "four in use", |pool| pool.lanes == [1; 4]);
    resize(&server, 1);
    wait_for(&server, "all four still", |pool| (pool.size, pool.available) == (4, 0));
    database.admin().run("COMMIT");
    for client in &mut clients {
        assert_eq!(client.receive().status, 200);
    }
    wait_for(&server, "one left", |pool| (pool.size, pool.available) == (1, 1));
}

#[test]
fn a_checkout_that_is_closed_at_a_deadline_is_not_a_lost_one() {
    let database = TestDatabase::create();
    let server = setup(&database.url(), &["--dispatch", "exclusive", "--request-deadline", "1s"]).start();
    resize(&server, 1);
    assert_eq!(get(&server, "/db").status, 200);
    lock(&database);
    assert_eq!(update(&server, 1)[0].receive().status, 503);
    wait_for(&server, "none", |pool| pool.size == 0);
    database.admin().run("COMMIT");
    assert_eq!(get(&server, "/db").status, 200);
    assert_eq!(status(&server).totals.reconnects, 0);
}

#[test]
fn a_lane_too_many_stays_where_one_before_it_is_lost() {
    let database = TestDatabase::create();
    let server = start(&database.url(), &["--dispatch", "pipelined"]);
    resize(&server, 2);
    lock(&database);
    // With 64 queries on the first lane, two for each request, another one is opened.
    let mut lost = update(&server, 33);
    wait_for(&server, "a second lane", |pool| pool.lanes == [66, 0]);
    let mut clients = update(&server, 1);
    wait_for(&server, "a request on it", |pool| pool.lanes == [66, 2]);
    resize(&server, 1);
    let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> ''
        AND pid <> pg_backend_pid() ORDER BY backend_start LIMIT 1";
    database.admin().run(ended);
    for client in &mut lost {
        assert_eq!(client.receive().status, 503);
    }
    wait_for(&server, "the other", |pool| pool.lanes == [2]);
    let mut late = server.connect();
    late.send(request("GET", "/db"));
    wait_for(&server, "the next request on it", |pool| pool.lanes == [3]);
    database.admin().run("COMMIT");
    clients.push(late);
    for client in &mut clients {
        assert_eq!(client.receive().status, 200);
    }
    assert_eq!(status(&server).totals.reconnects, 0);
}
