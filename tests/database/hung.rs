//! A database that takes connections and queries, and does not answer.
//!
//! **Invariant:** a hang costs a request its deadline and no more, and no answer meant for one request reaches another.

use std::time::{Duration, Instant};

use super::{DATABASE_ROUTES, WAYS, expect_unavailable};
use crate::harness::{
    Cluster, Forwarder, ServerSetup, TestDatabase, TestServer, get, request, wait_until, worlds,
};

fn start(forwarder: &Forwarder, database: &TestDatabase, way: &[&str]) -> TestServer {
    ServerSetup::with_url(&database.url_through(forwarder.port()))
        .args(way)
        .args(&["--request-deadline", "500ms"])
        .start()
}

#[test]
fn a_hung_database_is_503_within_the_deadline() {
    for way in WAYS {
        let database = TestDatabase::create();
        let forwarder = Forwarder::start();
        let server = start(&forwarder, &database, way);
        assert_eq!(get(&server, "/db").status, 200);
        forwarder.hang();
        let mut client = server.connect();
        for target in DATABASE_ROUTES {
            let start = Instant::now();
            expect_unavailable(&mut client, target);
            assert!(start.elapsed() < Duration::from_secs(3), "{way:?} {target} after {:?}", start.elapsed());
        }
    }
}

#[test]
fn a_database_that_hangs_from_the_start_is_503_within_the_deadline() {
    for way in WAYS {
        let database = TestDatabase::create();
        let forwarder = Forwarder::start();
        forwarder.hang();
        let began = Instant::now();
        let server = start(&forwarder, &database, way);
        assert!(began.elapsed() < Duration::from_secs(10), "it listens only after {:?}", began.elapsed());
        let mut client = server.connect();
        let start = Instant::now();
        expect_unavailable(&mut client, "/db");
        assert!(start.elapsed() < Duration::from_secs(3), "{way:?} after {:?}", start.elapsed());
    }
}

#[test]
fn many_requests_on_a_hung_database_are_all_503_within_the_deadline() {
    for way in WAYS {
        let database = TestDatabase::create();
        let forwarder = Forwarder::start();
        let server = start(&forwarder, &database, way);
        assert_eq!(get(&server, "/db").status, 200);
        forwarder.hang();
        let mut clients: Vec<_> = (0..300).map(|_| server.connect()).collect();
        let start = Instant::now();
        for client in &mut clients {
            client.send(request("GET", "/queries?queries=20"));
        }
        assert_eq!(server.connect().get("/json").status, 200, "while they wait");
        for client in &mut clients {
            assert_eq!(client.receive().status, 503, "{way:?}");
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{way:?}: the last after {:?}", start.elapsed());
    }
}

#[test]
fn after_a_hang_answers_are_right_again() {
    for way in WAYS {
        let database = TestDatabase::create();
        let mut forwarder = Forwarder::start();
        let server = start(&forwarder, &database, way);
        let mut client = server.connect();
        for _ in 0..2 {
            forwarder.hang();
            for _ in 0..2 {
                expect_unavailable(&mut client, "/queries?queries=20");
            }
            forwarder.restore();
            let back = Instant::now();
            wait_until("the service to recover", Duration::from_secs(20), || {
                (client.get("/db").status == 200).then_some(())
            });
            assert!(back.elapsed() < Duration::from_secs(3), "{way:?}: back after {:?}", back.elapsed());
            let table = database.world_numbers();
            for _ in 0..20 {
                // A pending pipeline that is used again would answer with an older request's rows.
                let response = client.get("/queries?queries=7");
                if response.status == 200 {
                    let rows = worlds(&response);
                    assert_eq!(rows.len(), 7);
                    assert!(rows.iter().all(|(id, number)| table[id] == *number), "{way:?}: {rows:?}");
                }
            }
        }
    }
}

#[test]
fn a_query_that_a_lock_holds_up_is_503_within_the_deadline() {
    for way in WAYS {
        let database = TestDatabase::create();
        let server =
            ServerSetup::with_database(&database).args(way).args(&["--request-deadline", "500ms"]).start();
        assert_eq!(get(&server, "/updates?queries=5").status, 200);
        database.admin().run("BEGIN; LOCK TABLE world IN ACCESS EXCLUSIVE MODE");
        let mut client = server.connect();
        let start = Instant::now();
        expect_unavailable(&mut client, "/updates?queries=5");
        expect_unavailable(&mut client, "/db");
        assert!(start.elapsed() < Duration::from_secs(5), "{way:?} after {:?}", start.elapsed());
        database.admin().run("ROLLBACK");
        wait_until("the service to recover", Duration::from_secs(10), || {
            (client.get("/updates?queries=5").status == 200).then_some(())
        });
    }
}

#[test]
fn a_query_that_is_given_up_is_cancelled() {
    const WAITING: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                           AND usename = 'plimsoll' AND wait_event_type = 'Lock'";
    for way in WAYS {
        let database = TestDatabase::create();
        let server =
            ServerSetup::with_database(&database).args(way).args(&["--request-deadline", "3s"]).start();
        assert_eq!(get(&server, "/db").status, 200);
        let watcher = Cluster::shared().administer(database.name());
        let waiting = || -> Vec<i32> { watcher.rows(WAITING, &[]).iter().map(|row| row.get(0)).collect() };
        database.admin().run("BEGIN; LOCK TABLE world IN ACCESS EXCLUSIVE MODE");
        let mut client = server.connect();
        client.send(request("GET", "/db"));
        let held_up = wait_until("the query to wait for the lock", Duration::from_secs(2), || {
            Some(waiting()).filter(|pids| !pids.is_empty())
        });
        assert_eq!(client.receive().status, 503, "{way:?}");
        wait_until("PostgreSQL to hear of it", Duration::from_secs(10), || {
            (!waiting().iter().any(|pid| held_up.contains(pid))).then_some(())
        });
        database.admin().run("ROLLBACK");
    }
}
