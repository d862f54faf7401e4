//! The same answers from every topology.
//!
//! **Invariant:** each topology is asked on more connections than it has workers.

use super::ACCEPTS;
use crate::harness::{
    Client, PATIENCE, ServerSetup, TestDatabase, TestServer, unused_port, wait_until, worlds,
};

/// Asks all seven routes on one connection; gives what must be the same from everybody.
fn ask(client: &mut Client) -> Vec<String> {
    wait_until("the database to be reached", PATIENCE, || (client.get("/db").status == 200).then_some(()));
    let fixed = ["/json", "/plaintext", "/fortunes"].map(|target| {
        let response = client.get(target);
        assert_eq!(response.status, 200, "{target}: {response:?}");
        response.text().to_owned()
    });
    let counts = [("/queries?queries=20", 20), ("/updates?queries=5", 5), ("/cached-queries?count=30", 30)];
    let counted = counts.map(|(target, count)| {
        let found = worlds(&client.get(target)).len();
        assert_eq!(found, count, "{target}");
        format!("{target}: {found}")
    });
    fixed.into_iter().chain(counted).collect()
}

fn start(database: &TestDatabase, processes: &str, workers: &str, accept: &str) -> TestServer {
    let words = ["--processes", processes, "--workers", workers, "--accept", accept];
    ServerSetup::of(&["serve", "--port", "0"]).args(&words).env("DATABASE_URL", database.url()).start()
}

#[test]
fn every_topology_answers_every_route_alike() {
    let database = TestDatabase::create();
    let mut expected: Option<Vec<String>> = None;
    for processes in ["1", "2"] {
        for workers in ["1", "2"] {
            for accept in ACCEPTS {
                let mut server = start(&database, processes, workers, accept);
                let mut clients: Vec<Client> = (0..6).map(|_| server.connect()).collect();
                for client in &mut clients {
                    let answers = ask(client);
                    let expected = expected.get_or_insert_with(|| answers.clone());
                    assert_eq!(&answers, expected, "{processes} × {workers}, {accept}");
                }
                drop(clients);
                let finished = server.stop();
                assert_eq!(finished.code, Some(0), "{processes} × {workers}, {accept}: {}", finished.stderr);
            }
        }
    }
}

#[test]
fn a_handoff_gives_each_connection_to_the_worker_with_the_fewest() {
    let server = ServerSetup::of(&["serve", "--port", "0", "--workers", "3", "--accept", "handoff"])
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
        .start();
    let mut clients: Vec<Client> = (0..30).map(|_| server.connect()).collect();
    server.wait_until_parked(30);
    assert_eq!(server.parked_by_worker(), [10, 10, 10]);
    // Whoever lost most gets the next ones.
    clients.drain(..15);
    server.wait_until_parked(15);
    let again: Vec<Client> = (0..15).map(|_| server.connect()).collect();
    wait_until("30 connections, evenly spread", PATIENCE, || {
        (server.parked_by_worker() == [10, 10, 10]).then_some(())
    });
    drop(again);
}

#[test]
fn several_addresses_are_served_by_every_topology() {
    for accept in ACCEPTS {
        for processes in ["1", "2"] {
            let ports = [unused_port(), unused_port()];
            let mut setup = ServerSetup::of(&["serve", "--processes", processes, "--accept", accept]);
            for port in ports {
                setup = setup.args(&["--listen", &format!("127.0.0.1:{port}")]);
            }
            let server = setup.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none").start();
            for port in ports {
                for _ in 0..4 {
                    let mut client = Client::connect(([127, 0, 0, 1], port).into());
                    assert_eq!(
                        client.get("/json").status,
                        200,
                        "{accept}, {processes}:\n{}",
                        server.stderr()
                    );
                }
            }
        }
    }
}

#[test]
fn more_listeners_than_one_message_carries_reach_every_process() {
    let mut setup = ServerSetup::of(&["serve", "--processes", "2", "--workers", "1"]);
    for _ in 0..300 {
        setup = setup.args(&["--listen", "127.0.0.1:0"]);
    }
    let server = setup.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none").start();
    server.wait_for_lines("listening  http://", 300);
    let text = server.stderr();
    let addresses: Vec<std::net::SocketAddr> = text
        .lines()
        .filter_map(|line| {
            line.trim().strip_prefix("listening")?.trim().strip_prefix("http://")?.parse().ok()
        })
        .collect();
    assert_eq!(addresses.len(), 300);
    for address in addresses {
        assert_eq!(Client::connect(address).get("/json").status, 200, "{address}");
    }
}
