//! A database that is not there when the service starts.
//!
//! **Invariant:** the service listens before it has reached the database.

use std::time::{Duration, Instant};

use super::{DATABASE_ROUTES, expect_unavailable};
use crate::harness::{
    Cluster, Forwarder, ServerSetup, TestDatabase, TestServer, get, unused_port, wait_until, worlds,
};

#[test]
fn without_a_database_database_routes_are_503_and_the_connection_stays_usable() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    for target in DATABASE_ROUTES {
        expect_unavailable(&mut client, target);
    }
    assert_eq!(client.get("/plaintext").text(), "Hello, World!");
    assert_eq!(client.get("/nothing").status, 404);
}

#[test]
fn without_a_database_exclusive_dispatch_answers_503_too() {
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    let server = ServerSetup::with_url(&url).args(&["--dispatch", "exclusive"]).start();
    let mut client = server.connect();
    for target in DATABASE_ROUTES {
        expect_unavailable(&mut client, target);
    }
}

#[test]
fn head_of_a_database_route_is_503_without_a_body() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    let response = client.head("/db");
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    assert_eq!(client.get("/plaintext").text(), "Hello, World!");
}

#[test]
fn a_database_that_is_refused_is_answered_with_503_at_once() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    expect_unavailable(&mut client, "/db");
    let start = Instant::now();
    for _ in 0..20 {
        expect_unavailable(&mut client, "/db");
    }
    // Twenty deadlines would be a minute.
    assert!(start.elapsed() < Duration::from_secs(15), "20 refusals took {:?}", start.elapsed());
}

#[test]
fn the_banner_says_that_the_database_is_not_reached_and_why() {
    let server = TestServer::without_database();
    let why = server.wait_for_line("database in the banner", |line| {
        Some(line.trim().strip_prefix("database")?.trim().to_owned())
    });
    assert!(why.contains("not reached yet") && why.contains("trying on"), "{why}");
    assert!(why.to_lowercase().contains("refused"), "{why}");
}

#[test]
fn the_service_comes_alive_when_the_database_appears() {
    let database = TestDatabase::create();
    let mut forwarder = Forwarder::start_cut(Cluster::shared().port());
    let server = ServerSetup::with_url(&database.url_through(forwarder.port())).start();
    let mut client = server.connect();
    for target in DATABASE_ROUTES {
        expect_unavailable(&mut client, target);
    }
    forwarder.restore();
    let start = Instant::now();
    wait_until("the database route to answer", Duration::from_secs(20), || {
        (client.get("/db").status == 200).then_some(())
    });
    assert!(start.elapsed() < Duration::from_secs(2), "back only after {:?}", start.elapsed());
    wait_until("every route on both workers", Duration::from_secs(5), || {
        let answers = |target: &&str| (0..6).all(|_| get(&server, target).status == 200);
        DATABASE_ROUTES.iter().all(answers).then_some(())
    });
    let table = database.world_numbers();
    assert!(worlds(&client.get("/queries?queries=100")).iter().all(|(id, number)| table[id] == *number));
}

#[test]
fn database_wait_ends_with_69_when_the_database_is_not_reached_in_time() {
    let start = Instant::now();
    let url = format!("postgres://nobody:secret@127.0.0.1:{}/none", unused_port());
    let finished = ServerSetup::with_url(&url).args(&["--database-wait", "1s"]).run();
    assert_eq!(finished.code, Some(69), "{finished:?}");
    let took = start.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(8)).contains(&took), "after {took:?}");
    assert!(!finished.stderr.contains("secret"), "{}", finished.stderr);
}

#[test]
fn database_wait_lets_a_database_that_is_there_be_served() {
    let database = TestDatabase::create();
    let mut server = ServerSetup::with_database(&database).args(&["--database-wait", "1s"]).start();
    let mut client = server.connect();
    assert_eq!(client.get("/db").status, 200);
    // Past the wait it still serves.
    client.expect_silence(Duration::from_millis(1500));
    assert_eq!(client.get("/db").status, 200);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn a_database_without_tables_is_an_answer_of_500_or_503_and_no_hang() {
    let database = TestDatabase::create();
    database.admin().run("DROP TABLE world, fortune");
    let server = TestServer::on(&database);
    let mut client = server.connect();
    for target in DATABASE_ROUTES {
        let response = client.get(target);
        assert!([500, 503].contains(&response.status), "{target}: {response:?}");
        assert_eq!(client.get("/json").status, 200, "after {target}");
    }
    database.admin().run(include_str!("../../sql/schema.sql"));
    database.admin().run(include_str!("../../sql/seed.sql"));
    database.admin().run("ALTER TABLE world OWNER TO plimsoll; ALTER TABLE fortune OWNER TO plimsoll");
    wait_until("the routes to answer", Duration::from_secs(10), || {
        DATABASE_ROUTES.iter().all(|target| client.get(target).status == 200).then_some(())
    });
}

#[test]
fn a_database_name_that_does_not_exist_is_named_in_the_banner() {
    let server = ServerSetup::with_url(&Cluster::shared().url("no_such_database")).start();
    let why = server.wait_for_line("database in the banner", |line| {
        Some(line.trim().strip_prefix("database")?.trim().to_owned())
    });
    assert!(why.contains("no_such_database"), "{why}");
    expect_unavailable(&mut server.connect(), "/db");
}
