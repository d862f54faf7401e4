//! `serve` without a database named: a PostgreSQL of its own, started, kept, taken over and stopped with it.
//!
//! **Invariant:** each test has a data directory of its own, and its PostgreSQL ends with the test.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{
    DataDirectory, PATIENCE, ServerSetup, TestServer, expect_within, get, unused_port, wait_until, worlds,
};

fn setup(data: &DataDirectory) -> ServerSetup {
    ServerSetup::serve().arg("--data-dir").arg(data.path())
}

/// Every route answers as the contract says.
fn check_routes(server: &TestServer) {
    let mut client = server.connect();
    for target in ["/json", "/plaintext", "/db", "/fortunes"] {
        assert_eq!(client.get(target).status, 200, "{target}:\n{}", server.stderr());
    }
    for target in ["/queries?queries=20", "/updates?queries=20", "/cached-queries?count=20"] {
        assert_eq!(worlds(&client.get(target)).len(), 20, "{target}");
    }
    assert_eq!(client.get("/fortunes").text().matches("<tr><td>").count(), 13);
}

#[test]
fn without_a_database_named_a_private_one_serves_every_route_and_stops_with_the_service() {
    let data = DataDirectory::create();
    let mut server = setup(&data).start();
    check_routes(&server);
    let postmaster = data.postmaster().expect("a running PostgreSQL");
    assert!(DataDirectory::is_alive(postmaster));
    let finished = server.stop();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(!DataDirectory::is_alive(postmaster), "PostgreSQL outlived the service");
    assert_eq!(data.postmaster(), None, "a pid file was left behind");
}

#[test]
fn a_second_start_takes_the_cluster_over_with_its_rows_in_under_two_seconds() {
    let data = DataDirectory::create();
    let mut server = setup(&data).start();
    // Fixed numbers: what a second start must not load anew.
    let written = worlds(&get(&server, "/updates?queries=500"));
    assert_eq!(server.stop().code, Some(0));
    expect_within("a second start", Duration::from_secs(2), || {
        let begun = Instant::now();
        let mut server = setup(&data).start();
        assert_eq!(get(&server, "/db").status, 200);
        let took = begun.elapsed();
        assert_eq!(server.stop().code, Some(0));
        took
    });
    let mut server = setup(&data).start();
    let mut client = server.connect();
    let mut compared = 0;
    for _ in 0..20 {
        for (id, number) in worlds(&client.get("/queries?queries=500")) {
            if let Some((_, kept)) = written.iter().find(|(other, _)| *other == id) {
                assert_eq!(number, *kept, "row {id} was loaded anew");
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "only {compared} rows could be compared");
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn the_cluster_of_a_killed_service_is_taken_over() {
    let data = DataDirectory::create();
    let mut server = setup(&data).start();
    check_routes(&server);
    server.signal(Signal::KILL);
    assert_eq!(server.wait(PATIENCE).code, None);
    let mut server = setup(&data).start();
    check_routes(&server);
    let postmaster = data.postmaster().expect("a running PostgreSQL");
    assert_eq!(server.stop().code, Some(0));
    assert!(!DataDirectory::is_alive(postmaster), "the adopted PostgreSQL outlived the service");
}

#[test]
fn the_cluster_of_a_killed_postgresql_is_recovered_while_the_service_runs() {
    let data = DataDirectory::create();
    let mut server = setup(&data).start();
    check_routes(&server);
    let first = data.postmaster().expect("a running PostgreSQL");
    let pid = rustix::process::Pid::from_raw(first).expect("a process id");
    rustix::process::kill_process(pid, Signal::KILL).expect("our own PostgreSQL to be killed");
    let mut client = server.connect();
    wait_until("PostgreSQL to be started again", PATIENCE, || {
        assert_eq!(client.get("/json").status, 200);
        let again = data.postmaster().is_some_and(|pid| pid != first && DataDirectory::is_alive(pid));
        (again && client.get("/db").status == 200).then_some(())
    });
    wait_until("both workers to be back", PATIENCE, || {
        (0..24).all(|_| get(&server, "/db").status == 200).then_some(())
    });
    check_routes(&server);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn a_second_service_on_the_same_data_directory_is_refused_with_the_first_ones_pid() {
    let data = DataDirectory::create();
    let server = setup(&data).start();
    let finished = setup(&data).run();
    assert!(finished.code.is_some_and(|code| code != 0), "{finished:?}");
    assert!(finished.stderr.contains("in use"), "{}", finished.stderr);
    assert!(finished.stderr.contains(&server.pid().to_string()), "{}", finished.stderr);
    check_routes(&server);
}

#[test]
fn a_stop_during_the_first_start_ends_cleanly() {
    let data = DataDirectory::create();
    let mut program = setup(&data).launch();
    wait_until("the cluster to be made", PATIENCE, || data.path().is_dir().then_some(()));
    program.signal(Signal::TERM);
    let finished = program.wait(PATIENCE);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(data.postmaster(), None);
    let mut server = setup(&data).start();
    check_routes(&server);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn the_private_postgresql_listens_on_no_port_unless_asked() {
    let data = DataDirectory::create();
    let port = unused_port();
    let mut server = setup(&data).start();
    let postmaster = data.postmaster().expect("a running PostgreSQL");
    assert_eq!(listening(postmaster), 0, "it listens on TCP");
    assert_eq!(server.stop().code, Some(0));
    let mut server = setup(&data).args(&["--private-pg-tcp", &port.to_string()]).start();
    check_routes(&server);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert_eq!(server.stop().code, Some(0));
}

/// The TCP sockets on which a process listens.
fn listening(pid: i32) -> usize {
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(3) == Some(&"0A")).then(|| format!("socket:[{}]", fields[9]))
    };
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let open: Vec<String> = tables.iter().flat_map(|table| table.lines().filter_map(inode)).collect();
    let descriptors = Path::new("/proc").join(pid.to_string()).join("fd");
    let Ok(descriptors) = std::fs::read_dir(descriptors) else { return 0 };
    let links = descriptors.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter(|link| open.contains(&link.display().to_string())).count()
}

#[test]
fn only_a_named_server_turns_the_private_postgresql_off() {
    let data = DataDirectory::create();
    let mut server = setup(&data)
        .env("PGUSER", "somebody")
        .env("PGDATABASE", "elsewhere")
        .env("PGPORT", "1")
        .env("PGDATA", "/nowhere")
        .env("PG_MAJOR", "11")
        .env("PGPASSWORD", "hunter2")
        .start();
    check_routes(&server);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn a_folder_without_postgresqls_programs_is_refused_by_name() {
    let data = DataDirectory::create();
    let empty = tempfile::tempdir().unwrap();
    let finished = setup(&data).arg("--pg-bin").arg(empty.path()).run();
    assert_eq!(finished.code, Some(78), "{finished:?}");
    assert!(
        finished.stderr.contains("--pg-bin") && finished.stderr.contains("initdb"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_port_in_use_leaves_no_postgresql_behind() {
    let data = DataDirectory::create();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let finished = ServerSetup::of(&["serve", "--port", &port]).arg("--data-dir").arg(data.path()).run();
    assert_eq!(finished.code, Some(71), "{finished:?}");
    assert_eq!(data.postmaster(), None);
}
