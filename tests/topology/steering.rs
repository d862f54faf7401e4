//! A pool that finds its own size: it grows where more connections serve more, and gives back what nobody uses.
//!
//! **Invariant:** sizes are waited for, as the service shows them; nothing is said of how long they take.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use plimsoll::config::admin::Place;
use plimsoll::telemetry::ask::ask;
use plimsoll::telemetry::status::Status;

use crate::harness::{Client, PATIENCE, ServerSetup, TestDatabase, TestServer, wait_until};

/// Longer than the longest rest before another size is tried, should a busy machine have spoilt the first try.
const UNTIL_TRIED_AGAIN: Duration = PATIENCE.saturating_mul(3);

/// Makes every read of a row of `world` wait in PostgreSQL, where no connection keeps another from waiting too.
const WAITING: &str = "ALTER TABLE world RENAME TO world_rows; \
    CREATE VIEW world AS SELECT id, randomnumber FROM world_rows WHERE pg_sleep(0.01) IS NOT NULL; \
    ALTER VIEW world OWNER TO plimsoll";

/// The most connections that the pools may have now, over all workers.
fn pool_size(server: &TestServer) -> u32 {
    let answer = ask(&Place::Socket(server.admin_socket()), "GET", "/status.json").expect("an answer");
    let status: Status = serde_json::from_slice(&answer.body).expect("a status page");
    status.now.pool.max_size
}

fn wait_for_size(server: &TestServer, size: u32) {
    wait_until(&format!("a pool of {size}"), UNTIL_TRIED_AGAIN, || (pool_size(server) == size).then_some(()));
}

/// Says that it is enough, also where a test fails.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks for a row on many connections until `done` is.
fn load_until(server: &TestServer, done: impl FnOnce()) {
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = OnDrop(&enough);
        for _ in 0..24 {
            let (mut client, enough) = (Client::connect(server.address()), &enough);
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    assert_eq!(client.get("/db").status, 200);
                }
            });
        }
        done();
        drop(end);
    });
}

#[test]
fn a_pool_grows_to_its_bound_while_requests_wait_and_shrinks_when_nobody_asks() {
    let database = TestDatabase::create();
    database.admin().run(WAITING);
    let words =
        ["serve", "--port", "0", "--workers", "1", "--dispatch", "exclusive", "--pool-per-core", "auto"];
    let server = ServerSetup::of(&words)
        .args(&["--pool-bounds", "0.1-100", "--database-max-conn", "3"])
        .env("DATABASE_URL", database.url())
        .start();
    load_until(&server, || wait_for_size(&server, 3));
    wait_for_size(&server, 1);
    load_until(&server, || wait_for_size(&server, 3));
}
