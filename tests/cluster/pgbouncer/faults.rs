//! A pooler that is restarted, whose PostgreSQL is down, or that takes no more clients.
//!
//! **Invariant:** each promise is a deadline here with its number.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::process::Bouncer;
use super::{SESSION_WAYS, TRANSACTION_WAYS};
use crate::harness::{
    Client, Cluster, MortalCluster, PATIENCE, ServerSetup, TestDatabase, TestServer, answers_at_once, get,
    wait_until,
};

/// The promise: how long the routes may be away once the pooler has them again.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// The `server_login_retry` that the page names, and how long it may put that off.
const LOGIN_RETRY: Duration = Duration::from_secs(1);

fn wait_for(client: &mut Client, status: u16) -> Instant {
    wait_until(&format!("a {status}"), PATIENCE, || (client.get("/db").status == status).then(Instant::now))
}

/// Serves behind it in every way that suits the mode.
fn servers(bouncer: &Bouncer, database: &str, mode: &str) -> Vec<TestServer> {
    let ways = if mode == "session" { &SESSION_WAYS[..] } else { &TRANSACTION_WAYS };
    let start = |way: &&[&str]| {
        ServerSetup::with_url(&bouncer.url(database)).args(way).args(&["--request-deadline", "1s"]).start()
    };
    ways.iter().map(start).collect()
}

#[test]
fn a_pooler_that_is_restarted_is_served_from_again_within_two_seconds() {
    let database = TestDatabase::create();
    for mode in ["session", "transaction"] {
        let bouncer = Bouncer::start(Cluster::shared().port(), &[&format!("pool_mode = {mode}")]);
        let servers = servers(&bouncer, database.name(), mode);
        let mut clients: Vec<Client> = servers.iter().map(TestServer::connect).collect();
        for client in &mut clients {
            wait_for(client, 200);
        }
        bouncer.end();
        for client in &mut clients {
            wait_for(client, 503);
        }
        bouncer.go_on();
        let begun = Instant::now();
        for (client, server) in clients.iter_mut().zip(&servers) {
            let back = wait_for(client, 200).duration_since(begun);
            assert!(back < BACK_WITHIN, "{mode}: back after {back:?}: {}", server.stderr());
        }
    }
}

#[test]
fn a_database_that_is_down_behind_its_pooler_is_back_within_its_login_retry_and_two_seconds() {
    for mode in ["session", "transaction"] {
        let cluster = MortalCluster::take();
        let bouncer =
            Bouncer::start(cluster.port(), &[&format!("pool_mode = {mode}"), "server_login_retry = 1"]);
        let servers = servers(&bouncer, "rows", mode);
        let mut clients: Vec<Client> = servers.iter().map(TestServer::connect).collect();
        for client in &mut clients {
            wait_for(client, 200);
        }
        cluster.end(Signal::QUIT);
        for client in &mut clients {
            wait_for(client, 503);
        }
        for server in &servers {
            assert_eq!(get(server, "/json").status, 200);
        }
        cluster.launch();
        let begun = cluster.wait_until_accepting();
        for (client, server) in clients.iter_mut().zip(&servers) {
            let back = wait_for(client, 200).duration_since(begun);
            assert!(back < BACK_WITHIN + LOGIN_RETRY, "{mode}: back after {back:?}: {}", server.stderr());
        }
    }
}

#[test]
fn a_pooler_that_takes_no_more_clients_names_its_setting_and_the_rest_is_served() {
    let database = TestDatabase::create();
    let bouncer = Bouncer::start(Cluster::shared().port(), &["max_client_conn = 2"]);
    let server = ServerSetup::of(&["serve", "--port", "0", "--workers", "1", "--pool-per-core", "8"])
        .env("DATABASE_URL", bouncer.url(database.name()))
        .start();
    assert_eq!(get(&server, "/db").status, 200, "{}", server.stderr());
    // Many queries at once want more lanes than there may be.
    let mut answered = 0;
    wait_until("the refusal in the log", PATIENCE, || {
        let answers = answers_at_once(&server, &vec!["/queries?queries=200".to_owned(); 16]);
        answered += answers.iter().filter(|answer| answer.status == 200).count();
        server.stderr().contains("raise max_client_conn").then_some(())
    });
    assert!(answered > 0, "{}", server.stderr());
    assert_eq!(get(&server, "/db").status, 200, "{}", server.stderr());
}
