//! Black-box tests: the real binary, real sockets, a real PostgreSQL.
#![cfg(test)]

mod cluster;
mod commands;
mod contract;
mod database;
mod doctor;
mod embedded;
mod faults;
mod harness;
mod lab;
mod lifecycle;
mod live_page;
mod load;
mod properties;
mod readme;
mod schema;
mod settings;
mod sweep;
mod telemetry;
mod terminal;
mod tidy;
mod topology;
mod wire;
