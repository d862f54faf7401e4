//! Plimsoll: a web service in front of PostgreSQL that knows its own load line.

pub mod database;
