//! A reload of one process: the log filter and the pool's size change while it serves; the rest waits for a restart.
//!
//! **Invariant:** the pool is counted by PostgreSQL, under load that would open more if it might.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;

use super::settings_file;
use crate::harness::{
    Client, Cluster, Forwarder, PATIENCE, ServerSetup, TestDatabase, TestServer, request, wait_until,
};

fn one_process(database: &TestDatabase, file: &std::path::Path) -> ServerSetup {
    ServerSetup::of(&["serve", "--port", "0", "--workers", "2", "--config"])
        .arg(file)
        .env("DATABASE_URL", database.url())
}

/// Waits until the service has exactly so many database connections.
fn wait_for_connections(database: &TestDatabase, count: i64) {
    wait_until(&format!("{count} database connections"), PATIENCE, || {
        let open = "SELECT count(*) FROM pg_stat_activity \
                    WHERE datname = current_database() AND application_name = 'plimsoll'";
        (database.admin().number(open) == count).then_some(())
    });
}

/// Changes the pool's size up and down under load that fills it.
fn resize_under_load(server: &TestServer, database: &TestDatabase, file: &std::path::Path) {
    let (answered, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..32)
            .map(|_| {
                let mut client = Client::connect(server.address());
                let (answered, enough) = (&answered, &enough);
                scope.spawn(move || {
                    while !enough.load(Ordering::Relaxed) {
                        client.send(request("GET", "/queries?queries=100"));
                        let response = client.receive();
                        assert_eq!(response.status, 200, "{response:?}");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        wait_for_connections(database, 4);
        for (count, size) in [8, 2, 6, 3].into_iter().enumerate() {
            std::fs::write(file, format!("pool-per-core = 100\ndatabase-max-conn = {size}\n")).unwrap();
            server.signal(Signal::HUP);
            server.wait_for_lines("reload: ", count + 1);
            wait_for_connections(database, size);
        }
        enough.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("every request to be answered");
        }
    });
    assert!(answered.load(Ordering::Relaxed) > 0);
}

#[test]
fn the_pool_grows_and_shrinks_under_load_without_a_request_lost() {
    for words in [&["--dispatch", "pipelined"], &["--dispatch", "exclusive"], &["--driver", "direct"]] {
        let database = TestDatabase::create();
        let (_folder, path) = settings_file("pool-per-core = 100\ndatabase-max-conn = 4\n");
        let server = one_process(&database, &path).args(words).start();
        resize_under_load(&server, &database, &path);
    }
}

#[test]
fn an_idle_pool_shrinks_at_once() {
    let database = TestDatabase::create();
    let (_folder, path) = settings_file("database-max-conn = 8\n");
    let server = one_process(&database, &path).args(&["--dispatch", "exclusive", "--pool-per-core", "100"]);
    // Which spreads the clients evenly, so that each worker has enough of them to fill its pool.
    let server = server.args(&["--accept", "handoff"]).start();
    let mut clients: Vec<Client> = (0..16).map(|_| server.connect()).collect();
    wait_until("all database connections to be open", PATIENCE, || {
        for client in &mut clients {
            client.send(request("GET", "/queries?queries=50"));
        }
        for client in &mut clients {
            assert_eq!(client.receive().status, 200);
        }
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND application_name = 'plimsoll'";
        (database.admin().number(open) == 8).then_some(())
    });
    std::fs::write(&path, "database-max-conn = 2\n").unwrap();
    server.signal(Signal::HUP);
    wait_for_connections(&database, 2);
    assert_eq!(clients[0].get("/db").status, 200);
}

#[test]
fn the_log_filter_changes_and_what_cannot_change_is_named() {
    let database = TestDatabase::create();
    let (_folder, path) = settings_file("log = 'warn'\n");
    let mut server = one_process(&database, &path).start();
    std::fs::write(&path, "log = 'info'\nidle-timeout = '9s'\nsched = 'batch'\n").unwrap();
    server.signal(Signal::HUP);
    server.wait_for_lines("--idle-timeout, --sched take effect only at a restart", 1);
    server.wait_for_lines("the log filter is info", 1);
    std::fs::write(&path, "log = 'loud=very'\n").unwrap();
    server.signal(Signal::HUP);
    server.wait_for_lines("reload: refused", 1);
    assert_eq!(server.connect().get("/db").status, 200);
    // Said at the level info, which the first reload turned on.
    assert!(server.stop().stderr.contains("stopped"));
}

#[test]
fn a_pool_for_which_postgresql_has_no_room_is_refused() {
    let database = TestDatabase::create();
    let (_folder, path) = settings_file("database-max-conn = 4\n");
    let server = one_process(&database, &path).args(&["--pool-per-core", "500"]).start();
    assert_eq!(server.connect().get("/db").status, 200);
    std::fs::write(&path, "database-max-conn = 900\n").unwrap();
    server.signal(Signal::HUP);
    server.wait_for_lines("reload: refused", 1);
    assert!(server.stderr().contains("wants 900 database connections"), "{}", server.stderr());
    assert_eq!(server.connect().get("/db").status, 200);
}

#[test]
fn a_pool_that_was_lowered_before_its_first_use_opens_no_more_than_it_may() {
    let database = TestDatabase::create();
    let forwarder = Forwarder::start();
    let (_folder, path) = settings_file("database-max-conn = 32\n");
    let server = one_process(&database, &path)
        .env("DATABASE_URL", database.url_through(forwarder.port()))
        .args(&["--dispatch", "exclusive", "--pool-per-core", "100"])
        .start();
    std::fs::write(&path, "database-max-conn = 2\n").unwrap();
    server.signal(Signal::HUP);
    server.wait_for_lines("reload: 2 database connections", 1);
    // A worker hears of it in a turn of its own, and has taken some when these, which both of them get their share of, are answered.
    for _ in 0..32 {
        assert_eq!(server.connect().get("/json").status, 200);
    }
    let before = forwarder.conversations().len();
    let mut clients: Vec<Client> = (0..32).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(request("GET", "/queries?queries=50"));
    }
    for client in &mut clients {
        assert_eq!(client.receive().status, 200);
    }
    let opened = forwarder.conversations().len() - before;
    assert!((1..=2).contains(&opened), "{opened} connections were opened, not 2 at the most");
}

#[test]
fn a_late_first_contact_is_judged_by_the_settings_of_a_reload_before_it() {
    let database = TestDatabase::create();
    for processes in ["1", "2"] {
        let mut forwarder = Forwarder::start_cut(Cluster::shared().port());
        let (_folder, path) = settings_file("database-max-conn = 900\n");
        let words = ["serve", "--port", "0", "--workers", "1", "--processes", processes];
        let server = ServerSetup::of(&words)
            .args(&["--pool-per-core", "500", "--config"])
            .arg(&path)
            .env("DATABASE_URL", database.url_through(forwarder.port()))
            .start();
        std::fs::write(&path, "database-max-conn = 4\n").unwrap();
        server.signal(Signal::HUP);
        server.wait_for_lines(if processes == "1" { "reload: 4 database" } else { "reload: done" }, 1);
        forwarder.restore();
        server.wait_for_lines("first contact", 1);
        let mut client = server.connect();
        wait_until("the database route to answer", PATIENCE, || {
            (client.get("/db").status == 200).then_some(())
        });
    }
}

#[test]
fn signals_are_heard_while_postgresql_is_asked() {
    // It takes connections and never answers.
    let database = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = database.local_addr().unwrap().port();
    let (_folder, path) = settings_file("database-max-conn = 4\n");
    let mut server = ServerSetup::of(&["serve", "--port", "0", "--workers", "2", "--config"])
        .arg(&path)
        .env("DATABASE_URL", format!("postgres://nobody@127.0.0.1:{port}/none"))
        .start();
    let mut sizes = [4, 6].into_iter().cycle();
    wait_until("a reload to be put off", PATIENCE, || {
        std::fs::write(&path, format!("database-max-conn = {}\n", sizes.next()?)).unwrap();
        server.signal(Signal::HUP);
        server.stderr().contains("another follows it").then_some(())
    });
    assert_eq!(server.stop().code, Some(0));
}
