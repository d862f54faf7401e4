//! Connections are replaced when they are old, and no request notices.
//!
//! **Invariant:** as of the folder.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Readers, WAYS, figure};
use crate::harness::{PATIENCE, ServerSetup, Session, TestDatabase, wait_until};

/// The server processes behind the service's sessions.
fn backends(admin: &Session) -> BTreeSet<i32> {
    let query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'plimsoll'";
    admin.rows(query, &[]).iter().map(|row| row.get(0)).collect()
}

#[test]
fn connections_past_their_age_are_replaced_without_one_more_than_there_may_be_and_without_a_failed_request() {
    let database = TestDatabase::create();
    for way in WAYS {
        let server = ServerSetup::with_database(&database)
            .args(way)
            .args(&["--database-max-conn", "2", "--connection-max-age", "1s"])
            .start();
        let readers = Readers::start(server.address(), &["/db", "/updates", "/queries?queries=5"], 4);
        let first = wait_until("connections", PATIENCE, || {
            Some(backends(database.admin())).filter(|all| !all.is_empty())
        });
        let mut seen = first.clone();
        wait_until("three others", PATIENCE, || {
            seen.extend(backends(database.admin()));
            (seen.len() >= first.len() + 3).then_some(())
        });
        let reads = readers.end_all_served(&server);
        figure(&format!("connections of 1 s, {}", way.join(" ")), format!("{reads} requests, none failed"));
    }
}

#[test]
fn a_connection_without_an_age_stays() {
    let database = TestDatabase::create();
    let server = ServerSetup::of(&["serve", "--port", "0", "--workers", "1", "--database-max-conn", "1"])
        .env("DATABASE_URL", database.url())
        .args(&["--connection-max-age", "off"])
        .start();
    let mut client = server.connect();
    assert_eq!(client.get("/db").status, 200);
    let first = backends(database.admin());
    let began = std::time::Instant::now();
    wait_until("half a second", PATIENCE, || (began.elapsed() > Duration::from_millis(500)).then_some(()));
    assert_eq!(client.get("/db").status, 200);
    assert_eq!(backends(database.admin()), first);
}
