//! The routes of `--lab`: that they are there only when asked for, and do what comparisons of topologies take them for.
//!
//! **Invariant:** each server here is without a database: nothing of the laboratory needs one.

mod burn;
mod echo;
mod routes;
mod wait;

use crate::harness::{ServerSetup, unused_port};

/// A server without a database, still without `--lab`.
fn bare() -> ServerSetup {
    ServerSetup::with_url(&format!("postgres://nobody@127.0.0.1:{}/none", unused_port()))
}

/// The same with the laboratory and one worker only, whom all of a test's connections meet.
fn one_worker() -> ServerSetup {
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    ServerSetup::of(&["serve", "--port", "0", "--workers", "1", "--lab"]).env("DATABASE_URL", url)
}
