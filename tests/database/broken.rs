//! Database connections that die while they are used.
//!
//! **Invariant:** a request on a dead connection fails at once and alone; the next ones are served within a second of the
//! database accepting again.

use std::time::{Duration, Instant};

use super::{DATABASE_ROUTES, WAYS, expect_unavailable};
use crate::harness::{Forwarder, ServerSetup, TestDatabase, TestServer, get, request, wait_until, worlds};

fn start(forwarder: &Forwarder, database: &TestDatabase, way: &[&str]) -> TestServer {
    let server = ServerSetup::with_url(&database.url_through(forwarder.port())).args(way).start();
    assert_eq!(get(&server, "/db").status, 200);
    server
}

#[test]
fn a_database_that_goes_away_is_503_until_it_is_back_and_within_a_second_served_again() {
    for way in WAYS {
        let database = TestDatabase::create();
        let mut forwarder = Forwarder::start();
        let server = start(&forwarder, &database, way);
        let mut client = server.connect();
        for _ in 0..2 {
            forwarder.cut();
            wait_until("the loss to be noticed", Duration::from_secs(10), || {
                (client.get("/db").status == 503).then_some(())
            });
            for target in DATABASE_ROUTES.into_iter().filter(|target| !target.starts_with("/cached")) {
                expect_unavailable(&mut client, target);
            }
            forwarder.restore();
            let back = Instant::now();
            wait_until("the service to recover", Duration::from_secs(20), || {
                (client.get("/db").status == 200).then_some(())
            });
            assert!(back.elapsed() < Duration::from_secs(2), "{way:?}: back after {:?}", back.elapsed());
        }
        let table = database.world_numbers();
        assert!(worlds(&client.get("/queries?queries=100")).iter().all(|(id, number)| table[id] == *number));
    }
}

#[test]
fn requests_in_flight_on_a_connection_that_dies_are_503_at_once() {
    for way in WAYS {
        let database = TestDatabase::create();
        let mut forwarder = Forwarder::start();
        let server = ServerSetup::with_url(&database.url_through(forwarder.port()))
            .args(way)
            .args(&["--request-deadline", "25s"])
            .start();
        for _ in 0..8 {
            assert_eq!(get(&server, "/queries?queries=20").status, 200);
        }
        forwarder.hang();
        let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(request("GET", "/queries?queries=20"));
        }
        clients[0].expect_silence(Duration::from_millis(200));
        forwarder.cut();
        let start = Instant::now();
        for client in &mut clients {
            assert_eq!(client.receive().status, 503, "{way:?}");
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{way:?}: failed after {:?}", start.elapsed());
    }
}

#[test]
fn database_connections_that_an_administrator_ends_are_replaced() {
    for way in WAYS {
        let database = TestDatabase::create();
        let server = ServerSetup::with_database(&database).args(way).start();
        let mut client = server.connect();
        for round in 0..5 {
            assert!(worlds_or_wait(&mut client, "/queries?queries=20"), "round {round}");
            database.admin().run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
            let start = Instant::now();
            wait_until("the service to recover", Duration::from_secs(10), || {
                let response = client.get("/db");
                assert!([200, 503].contains(&response.status), "{way:?}: {response:?}");
                (response.status == 200).then_some(())
            });
            assert!(start.elapsed() < Duration::from_secs(2), "{way:?}: back after {:?}", start.elapsed());
        }
    }
}

fn worlds_or_wait(client: &mut crate::harness::Client, target: &str) -> bool {
    wait_until("an answer with rows", Duration::from_secs(10), || {
        let response = client.get(target);
        (response.status == 200).then(|| worlds(&response).len() == 20)
    })
}

#[test]
fn routes_without_a_database_do_not_notice_its_loss() {
    let database = TestDatabase::create();
    let mut forwarder = Forwarder::start();
    let server = start(&forwarder, &database, WAYS[0]);
    forwarder.cut();
    let mut client = server.connect();
    for _ in 0..200 {
        assert_eq!(client.get("/json").status, 200);
        assert_eq!(client.get("/plaintext").status, 200);
    }
}

#[test]
fn a_loss_is_logged_once_and_so_is_the_return() {
    let database = TestDatabase::create();
    let mut forwarder = Forwarder::start();
    let server = start(&forwarder, &database, WAYS[0]);
    let logged = server.stderr().lines().count();
    forwarder.cut();
    let mut client = server.connect();
    for _ in 0..100 {
        client.get("/db");
    }
    forwarder.restore();
    wait_until("the service to recover", Duration::from_secs(10), || {
        (client.get("/db").status == 200).then_some(())
    });
    server.wait_for_lines("the database is reached again", 1);
    let lines = server.stderr().lines().count() - logged;
    assert_eq!(lines, 2, "a line for the loss and one for the return:\n{}", server.stderr());
}

#[test]
fn a_table_that_comes_back_changed_is_served_again() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    assert_eq!(client.get("/db").status, 200);
    // Prepared statements of the old shape fail once on each connection; they must not fail for ever.
    database.admin().run(
        "ALTER TABLE world RENAME TO old; CREATE TABLE world (id int PRIMARY KEY, randomnumber int NOT NULL); \
         INSERT INTO world SELECT id, 7 FROM old; ALTER TABLE world OWNER TO plimsoll",
    );
    wait_until("the new table's rows", Duration::from_secs(10), || {
        let response = client.get("/queries?queries=20");
        (response.status == 200 && worlds(&response).iter().all(|row| row.1 == 7)).then_some(())
    });
}
