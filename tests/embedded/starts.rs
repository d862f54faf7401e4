//! Ordinary starts and stops.
//!
//! **Invariant:** after a stop nothing runs, and nothing lies outside the data directory.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use plimsoll::database::embedded::{Embedded, Options};
use tokio_postgres::{Config, NoTls};

use super::home::{Home, ask, processes_in, run};
use crate::harness::unused_port;

/// The session and the user of a process.
fn session_and_user(pid: i32) -> (i32, u32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its state");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let session = after_name.split_whitespace().nth(3).expect("a session").parse().expect("a number");
    (session, fs::metadata(format!("/proc/{pid}")).expect("its owner").uid())
}

#[test]
fn a_first_start_makes_a_cluster_with_all_the_rows() {
    let home = Home::new();
    let mut embedded = home.start();
    assert!(home.heard("making a new PostgreSQL"));
    assert!(!embedded.adopted());
    let counted = ask(
        &embedded.config(),
        "SELECT (SELECT count(*) FROM world) || ' ' || (SELECT count(*) FROM fortune) || ' ' || current_user",
    );
    assert_eq!(counted, "10000 12 benchmarkdbuser");
    let version = ask(&embedded.config(), "SHOW server_version");
    assert!(version.starts_with(embedded.server_version()), "{version}");
    assert_eq!(ask(&embedded.config(), "SHOW listen_addresses"), "");
    let pid = embedded.pid().unwrap();
    let (session, user) = session_and_user(pid);
    assert_eq!(session, pid, "it leads a session of its own");
    assert_ne!(user, 0);
    embedded.stop().unwrap();
    embedded.stop().unwrap();
    assert_eq!(processes_in(home.data_dir()), [0; 0]);
    assert_eq!(embedded.pid(), None);
    run(embedded.died());
}

#[test]
fn a_second_start_finds_the_cluster_and_its_rows() {
    let home = Home::with_cluster();
    let embedded = home.start();
    ask(&embedded.config(), "UPDATE world SET randomnumber = 4711 WHERE id = 10000 RETURNING ''");
    drop(embedded);
    let started = Instant::now();
    let embedded = home.start();
    println!("second start: {:?}", started.elapsed());
    assert!(!home.heard(""), "nothing in it takes long enough to be told");
    assert!(!embedded.adopted());
    assert_eq!(ask(&embedded.config(), "SELECT randomnumber::text FROM world WHERE id = 10000"), "4711");
}

#[test]
fn a_service_starts_and_drops_it_from_its_runtime() {
    let home = Home::with_cluster();
    let options = home.options();
    run(async move {
        let started = tokio::task::spawn_blocking(move || Embedded::start(&options, &mut |_| {}));
        let embedded = started.await.unwrap().unwrap();
        assert!(embedded.config().connect(NoTls).await.is_ok());
    });
    assert_eq!(processes_in(home.data_dir()), [0; 0]);
}

#[test]
fn a_long_data_directory_has_its_socket_elsewhere() {
    let home = Home::named(&"d".repeat(150));
    let mut embedded = home.start();
    let socket_dir = embedded.socket_dir().to_owned();
    assert!(!socket_dir.starts_with(home.data_dir()));
    assert_eq!(fs::metadata(&socket_dir).unwrap().mode() & 0o777, 0o700);
    assert_eq!(ask(&embedded.config(), "SELECT 'x'"), "x");
    embedded.stop().unwrap();
    assert!(!socket_dir.exists());
}

#[test]
fn names_that_a_shell_would_read_are_only_names() {
    let home = Home::named("it's \"$(touch here)\", `x`");
    let embedded = home.start();
    assert_eq!(ask(&embedded.config(), "SELECT 'x'"), "x");
    assert!(!embedded.cluster_dir().join("here").exists());
}

#[test]
fn a_tcp_port_asks_for_the_password() {
    let home = Home::with_cluster();
    let port = unused_port();
    let embedded = home.start_with(&Options { tcp_port: Some(port), ..home.options() }).unwrap();
    let mut config = Config::new();
    config
        .host("127.0.0.1")
        .port(port)
        .user("benchmarkdbuser")
        .dbname("hello_world")
        .password("benchmarkdbpass");
    assert_eq!(ask(&config, "SELECT 'by tcp'"), "by tcp");
    config.password("wrong");
    assert!(run(config.connect(NoTls)).is_err());
    assert_eq!(ask(&embedded.config(), "SELECT 'by socket'"), "by socket");
}

#[test]
fn the_server_allows_for_the_connections_asked_for() {
    let home = Home::with_cluster();
    let embedded = home.start_with(&Options { max_connections: 150, ..home.options() }).unwrap();
    assert_eq!(ask(&embedded.config(), "SHOW max_connections"), "160");
    assert_eq!(ask(&embedded.config(), "SHOW synchronous_commit"), "off");
    assert_eq!(ask(&embedded.config(), "SHOW fsync"), "on");
}
