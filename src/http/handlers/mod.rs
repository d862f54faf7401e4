//! Step 6 of 7, handlers: one file a route, one function a file.
//!
//! **Invariant:** a handler asks the database in its own words and never names a connection, a lane or a statement.

pub(super) mod cached_queries;
pub(super) mod db;
pub(super) mod fortunes;
pub(super) mod json;
pub(super) mod plaintext;
pub(super) mod queries;
pub(super) mod updates;
