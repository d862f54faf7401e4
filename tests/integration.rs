//! Black-box tests: the real binary, real sockets, a real PostgreSQL.
#![cfg(test)]

mod commands;
mod contract;
mod database;
mod harness;
mod lifecycle;
mod readme;
mod settings;
mod tidy;
mod wire;
