//! Clients that go away while PostgreSQL works for them.
//!
//! **Invariant:** what an abandoned request left on a database connection never reaches another client, and no connection
//! is lost to it.

use super::WAYS;
use crate::harness::{ServerSetup, TestDatabase, answers_at_once, request, worlds};

#[test]
fn requests_whose_clients_went_away_spoil_nothing_for_the_others() {
    let database = TestDatabase::create();
    let table = database.world_numbers();
    for way in WAYS {
        // 20 000 queries stand before the others: on a busy machine that is longer than a request may wait by default.
        let server =
            ServerSetup::with_database(&database).args(way).args(&["--request-deadline", "30s"]).start();
        for round in 0..5 {
            for _ in 0..40 {
                server.connect().send(request("GET", "/queries?queries=500"));
            }
            let targets: Vec<String> =
                (1..=40).map(|count| format!("/queries?queries={}", 1 + (count * 7) % 23)).collect();
            for (response, target) in answers_at_once(&server, &targets).iter().zip(&targets) {
                assert_eq!(response.status, 200, "{way:?}, round {round}, {target}: {response:?}");
                let rows = worlds(response);
                assert!(
                    target.ends_with(&format!("={}", rows.len())),
                    "{way:?}: {target} gave {}",
                    rows.len()
                );
                assert!(rows.iter().all(|(id, number)| table[id] == *number), "{way:?}: {target}");
            }
        }
        let open = database.admin().number(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND usename = 'plimsoll' AND state = 'idle in transaction'",
        );
        assert_eq!(open, 0, "{way:?}: a transaction was left open");
    }
}

#[test]
fn updates_whose_clients_went_away_are_whole_or_not_at_all() {
    for way in [WAYS[0], WAYS[2]] {
        let database = TestDatabase::create();
        database.admin().run("UPDATE world SET randomnumber = 0");
        let server = ServerSetup::with_database(&database).args(way).start();
        for _ in 0..60 {
            server.connect().send(request("GET", "/updates?queries=20"));
        }
        let answered = answers_at_once(&server, &vec!["/updates?queries=20".to_owned(); 60]);
        for response in &answered {
            assert_eq!(worlds(response).len(), 20);
        }
        let written = database.statements();
        let rows: i64 = written.iter().filter(|one| one.is_world_update()).map(|one| one.rows).sum();
        assert_eq!(rows % 20, 0, "{rows} rows were written by requests of 20 each");
    }
}
