//! The wire contract, table by table: what every route answers and what every odd request gets.
//!
//! **Invariant:** each row of the contract's tables has a test here that is named after it, but those on framing, which are rows of a
//! table of their own in `wire::framing`.

mod cached;
mod counts;
mod exact;
mod fortunes;
mod methods;
mod queries;
mod refusals;
mod responses;
mod routes;
mod updates;

use crate::harness::{ServerSetup, TestDatabase, TestServer};

/// Every way to use the database: each must answer alike.
const MODES: [&[&str]; 5] = [
    &["--dispatch", "pipelined"],
    &["--dispatch", "exclusive"],
    &["--dispatch", "pipelined", "--statements", "unnamed"],
    &["--dispatch", "exclusive", "--statements", "unnamed"],
    &["--driver", "direct"],
];

/// Runs a check against one server for each mode, all on the same database.
fn in_every_mode(check: impl Fn(&TestServer, &TestDatabase)) {
    let database = TestDatabase::create();
    for mode in MODES {
        let server = ServerSetup::with_database(&database).args(mode).start();
        check(&server, &database);
    }
}
