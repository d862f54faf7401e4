//! Where the service listens, and with how many workers and database connections.
//!
//! **Invariant:** what the banner says is what is true.

use std::num::NonZeroUsize;
use std::process::Command;
use std::thread::available_parallelism;

use super::{bare, setting, show};
use crate::harness::{Client, ServerSetup, TestDatabase, TestServer, unused_port};

const NOWHERE: &str = "postgres://nobody@127.0.0.1:1/none";

fn banner(server: &TestServer, name: &str) -> String {
    server.wait_for_line(name, |line| line.trim().strip_prefix(name).map(|rest| rest.trim().to_owned()))
}

#[test]
fn the_service_listens_where_host_and_port_say() {
    let port = unused_port();
    let server =
        bare().env("DATABASE_URL", NOWHERE).env("HOST", "127.0.0.1").env("PORT", port.to_string()).start();
    assert_eq!(server.address().port(), port);
    assert_eq!(server.connect().get("/json").status, 200);
}

#[test]
fn all_addresses_of_the_machine_are_served_with_0_0_0_0() {
    let server = bare().env("DATABASE_URL", NOWHERE).args(&["--host", "0.0.0.0", "--port", "0"]).start();
    let other = std::net::SocketAddr::from(([127, 0, 0, 2], server.address().port()));
    assert_eq!(Client::connect(other).get("/json").status, 200);
}

#[test]
fn listen_may_be_repeated_and_replaces_host_and_port() {
    let (first, second) = (unused_port(), unused_port());
    let server = bare()
        .env("DATABASE_URL", NOWHERE)
        .args(&["--listen", &format!("127.0.0.1:{first}"), "--listen", &format!("127.0.0.2:{second}")])
        .start();
    for address in [([127, 0, 0, 1], first), ([127, 0, 0, 2], second)] {
        for _ in 0..4 {
            assert_eq!(Client::connect(address.into()).get("/json").status, 200, "{address:?}");
        }
    }
    assert!(Client::try_connect(([127, 0, 0, 1], second).into()).is_err(), "an address that nobody named");
    for port in [first, second] {
        assert!(server.stderr().contains(&port.to_string()), "{}", server.stderr());
    }
}

#[test]
fn the_banner_is_a_few_lines_of_what_is_in_force() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let reached = banner(&server, "database");
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let total = (4 * cores).max(2);
    let text = server.stderr();
    assert!(text.contains(&format!("pid {}", server.pid())), "{text}");
    assert!(text.starts_with("plimsoll 0."), "{text}");
    assert!(banner(&server, "workers").starts_with('2'), "{text}");
    let pool = banner(&server, "pool");
    assert!(pool.starts_with(&format!("{total} database connections")), "{pool}");
    assert!(pool.contains("4 per core") && pool.contains("pipelined"), "{pool}");
    assert!(reached.starts_with("PostgreSQL 1"), "{reached}");
    assert!(reached.contains(database.name()), "{reached}");
    assert!(
        banner(&server, "admin").starts_with("off") && banner(&server, "socket").ends_with("admin.sock"),
        "{text}"
    );
    assert!(text.lines().count() <= 9, "{text}");
}

#[test]
fn the_default_is_a_worker_for_each_core_that_the_process_may_use() {
    let server = bare().env("DATABASE_URL", NOWHERE).args(&["--port", "0"]).start();
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    assert!(banner(&server, "workers").starts_with(&cores.to_string()), "{}", server.stderr());
}

#[test]
fn a_process_bound_to_one_core_plans_for_one() {
    if Command::new("taskset").arg("--version").output().is_err() {
        return;
    }
    let words = ["-c", "0", env!("CARGO_BIN_EXE_plimsoll"), "serve", "--port", "0"];
    let server = ServerSetup::by("taskset", &words).env("DATABASE_URL", NOWHERE).start();
    assert!(banner(&server, "workers").starts_with("1 (1 core"), "{}", server.stderr());
    assert!(banner(&server, "pool").starts_with("4 database connections"), "{}", server.stderr());
}

#[test]
fn the_pool_is_multiplied_rounded_raised_to_the_workers_and_cut_by_the_bound() {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let expect = |words: &[&str], total: usize| {
        let server = bare().env("DATABASE_URL", NOWHERE).args(&["--port", "0"]).args(words).start();
        let pool = banner(&server, "pool");
        assert!(pool.starts_with(&format!("{total} database connection")), "{words:?}: {pool}");
    };
    expect(&["--pool-per-core", "6"], 6 * cores);
    expect(&["--pool-per-core", "2.5"], (5 * cores).div_ceil(2));
    expect(&["--pool-per-core", "0.1", "--workers", "3"], 3);
    expect(&["--workers", "2", "--database-max-conn", "3"], 3);
    expect(&["--database-max-conn", "1000"], 4 * cores);
}

#[test]
fn a_pool_outside_3_to_6_per_core_is_warned_of() {
    let warned = |multiplier: &str| {
        let server = ServerSetup::with_url(NOWHERE).args(&["--pool-per-core", multiplier]).start();
        banner(&server, "database");
        server.stderr().contains("3 to 6")
    };
    assert!(warned("2"));
    assert!(warned("9"));
    assert!(!warned("3"));
    assert!(!warned("6"));
}

#[test]
fn show_config_serves_nothing() {
    let port = unused_port();
    let shown = show(bare().args(&["--port", &port.to_string()]));
    assert_eq!(setting(&shown, "port").0, port.to_string());
    assert!(!shown.stderr.contains("listening"), "{}", shown.stderr);
}
