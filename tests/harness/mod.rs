//! What the tests stand on: a PostgreSQL, a database for each test, the server as a child process, a client that
//! sends bytes exactly as given, and a forwarder that breaks the way to the database.
//!
//! **Invariant:** nothing started here outlives the test process, however that ends, and nothing waits for a time:
//! every wait is for a condition and has a limit.

mod authority;
mod binaries;
mod browser;
mod child;
mod client;
mod cluster;
mod data_directory;
mod database;
pub(crate) mod draw;
mod forwarder;
mod frontend;
mod glass;
mod mortal;
mod parked;
mod patience;
mod ports;
pub(crate) mod processes;
mod pty;
mod requests;
mod response;
mod server;
mod standby;

pub(crate) use authority::{Authority, SecuredCluster, allow};
pub(crate) use binaries::{command_for_postgres, unprivileged_user};
pub(crate) use browser::{Browser, Window};
pub(crate) use child::{Finished, Program};
pub(crate) use client::Client;
pub(crate) use cluster::Cluster;
pub(crate) use data_directory::DataDirectory;
pub(crate) use database::{Session, TestDatabase};
pub(crate) use forwarder::Forwarder;
pub(crate) use frontend::{Conversation, Message};
pub(crate) use mortal::MortalCluster;
pub(crate) use patience::{PATIENCE, expect_within, wait_until};
pub(crate) use ports::unused_port;
pub(crate) use pty::Pty;
pub(crate) use requests::{answers_at_once, get, request, request_with, worlds};
pub(crate) use response::Response;
pub(crate) use server::{ServerSetup, TestServer};
pub(crate) use standby::{Standby, kill_all_of};
