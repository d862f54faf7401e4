//! The database as something that fails: not there, cut off, hung, too small, and back again.
//!
//! **Invariant:** whatever happens to PostgreSQL, a request is answered within its deadline and its connection stays
//! usable; routes that need no database never notice.

mod abandoned;
mod absent;
mod broken;
mod hung;
mod limits;

use crate::harness::{Client, Response};

/// The ways in which requests use database connections.
const WAYS: [&[&str]; 3] =
    [&["--dispatch", "pipelined"], &["--dispatch", "exclusive"], &["--driver", "direct"]];

/// The routes that read the database.
const DATABASE_ROUTES: [&str; 5] =
    ["/db", "/queries?queries=5", "/updates?queries=5", "/fortunes", "/cached-queries?count=5"];

/// 503 as the contract words it, on a connection that is then used again.
fn expect_unavailable(client: &mut Client, target: &str) -> Response {
    let response = client.get(target);
    assert_eq!(response.status, 503, "{target}: {response:?}");
    let retry =
        response.header("retry-after").unwrap_or_else(|| panic!("{target}: no Retry-After: {response:?}"));
    assert!(retry.parse::<u32>().is_ok(), "{target}: Retry-After: {retry}");
    for name in ["server", "date", "content-type", "content-length"] {
        assert!(response.header(name).is_some(), "{target}: no {name}: {response:?}");
    }
    assert!(!response.announces_close(), "{target}: {response:?}");
    assert_eq!(client.get("/json").status, 200, "after {target}");
    response
}
