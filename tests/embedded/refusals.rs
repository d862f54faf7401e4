//! What a start refuses, and what it says then.
//!
//! **Invariant:** what was refused is as it was before, and nothing runs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use plimsoll::database::embedded::{Embedded, EmbeddedError, Options};

use super::home::{Home, ask, processes_in};

fn refused(home: &Home, options: &Options) -> EmbeddedError {
    home.start_with(options).expect_err("a refusal")
}

#[test]
fn a_second_user_of_a_data_directory_is_told_of_the_first() {
    let home = Home::with_cluster();
    let embedded = home.start();
    let text = refused(&home, &home.options()).to_string();
    let expected =
        format!("is in use by plimsoll pid {}; stop it, or give another --data-dir", std::process::id());
    assert!(text.ends_with(&expected), "{text}");
    assert_eq!(ask(&embedded.config(), "SELECT 'x'"), "x");
}

#[test]
fn a_directory_that_is_no_cluster_is_left_alone() {
    let home = Home::with_cluster();
    let cluster = home.start().cluster_dir().to_owned();
    fs::remove_file(cluster.join("PG_VERSION")).unwrap();
    let error = refused(&home, &home.options());
    assert!(matches!(error, EmbeddedError::NotACluster { .. }), "{error}");
    assert!(cluster.join("postgresql.conf").exists());
}

#[test]
fn a_failed_start_quotes_the_log_and_leaves_nothing_running() {
    let home = Home::with_cluster();
    let cluster = home.start().cluster_dir().to_owned();
    let settings = cluster.join("postgresql.auto.conf");
    fs::write(&settings, "work_mem = '1 banana'\n").unwrap();
    let text = refused(&home, &home.options()).to_string();
    assert!(text.contains("invalid value for parameter \"work_mem\""), "{text}");
    assert_eq!(processes_in(home.data_dir()), [0; 0]);
    fs::write(&settings, "").unwrap();
    drop(home.start());
}

#[test]
fn a_taken_tcp_port_is_named() {
    let home = Home::with_cluster();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = refused(&home, &Options { tcp_port: Some(port), ..home.options() }).to_string();
    assert!(text.contains(&format!("127.0.0.1:{port}")) && text.contains("--private-pg-tcp"), "{text}");
    assert_eq!(processes_in(home.data_dir()), [0; 0]);
}

#[test]
fn a_data_directory_out_of_reach_of_postgresqls_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root runs PostgreSQL as another user.
    }
    let home = Home::new();
    fs::set_permissions(home.outer(), Permissions::from_mode(0o700)).unwrap();
    let text = refused(&home, &home.options()).to_string();
    assert!(text.contains("cannot pass") && text.contains("--data-dir"), "{text}");
}

#[test]
fn a_file_in_the_data_directorys_place_is_refused() {
    let home = Home::new();
    fs::write(home.data_dir(), "").unwrap();
    let error = refused(&home, &home.options());
    assert!(matches!(error, EmbeddedError::NotADirectory { .. }), "{error}");
}

#[test]
fn a_cluster_without_its_programs_is_refused_and_kept() {
    let home = Home::new();
    let cluster = home.data_dir().join("pg12");
    fs::create_dir_all(&cluster).unwrap();
    fs::write(cluster.join("PG_VERSION"), "12\n").unwrap();
    let error = Embedded::start(&home.options(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, EmbeddedError::UnsupportedVersion { .. }), "{error}");
    assert!(cluster.exists());
}
