//! A pooler in front of PostgreSQL, in session and in transaction mode: docs/pgbouncer.md.
//!
//! **Invariant:** rows are compared with the table itself, as PostgreSQL has it without a pooler.

mod faults;
mod process;

use std::time::Duration;

use process::Bouncer;

use crate::harness::{
    Cluster, PATIENCE, Response, ServerSetup, Session, TestDatabase, TestServer, answers_at_once, get,
    request, wait_until, worlds,
};

/// The ways that may be behind one in session mode, the default first.
const SESSION_WAYS: [&[&str]; 3] = [&[], &["--dispatch", "exclusive"], &["--driver", "direct"]];
/// The ways that may be behind one in transaction mode.
const TRANSACTION_WAYS: [&[&str]; 2] =
    [&["--statements", "unnamed"], &["--statements", "unnamed", "--dispatch", "exclusive"]];
/// So small a `pkt_buf` (in bytes) that queries arrive in parts, which they do by themselves where packets are lost on their way.
const IN_PARTS: [&str; 2] = ["pkt_buf = 512", "sbuf_loopcnt = 1"];

/// All seven routes, and answers that the table bears out, with far more requests at once than the pooler has servers.
fn expect_all_served(server: &TestServer, database: &TestDatabase, way: &[&str]) {
    for target in
        ["/json", "/plaintext", "/db", "/queries?queries=20", "/fortunes", "/cached-queries?count=5"]
    {
        let answer = get(server, target);
        assert_eq!(answer.status, 200, "{way:?} {target}: {answer:?}\n{}", server.stderr());
    }
    let fortunes = get(server, "/fortunes");
    assert!(fortunes.text().contains("フレームワークのベンチマーク"), "{way:?}: {}", fortunes.text());
    let all_200 = |answers: &[Response]| {
        for answer in answers {
            assert_eq!(answer.status, 200, "{way:?}: {answer:?}\n{}", server.stderr());
        }
    };
    let table = database.world_numbers();
    let reads = answers_at_once(server, &vec!["/queries?queries=20".to_owned(); 48]);
    all_200(&reads);
    for (id, number) in reads.iter().flat_map(worlds) {
        assert_eq!(table[&id], number, "{way:?}: row {id}");
    }
    let writes = answers_at_once(server, &vec!["/updates?queries=10".to_owned(); 24]);
    all_200(&writes);
    let (table, mut written) = (database.world_numbers(), Vec::new());
    for (id, number) in writes.iter().flat_map(worlds) {
        written.push((id, table[&id] == number));
    }
    // Of two requests that wrote one row the later one's number stands there; every row has one that somebody was told.
    for (id, _) in written.iter().filter(|(_, stands)| !stands) {
        assert!(written.iter().any(|(other, stands)| other == id && *stands), "{way:?}: row {id}");
    }
}

#[test]
fn in_session_mode_every_way_of_asking_is_served_past_the_poolers_size() {
    let database = TestDatabase::create();
    let bouncer = Bouncer::start(Cluster::shared().port(), &["pool_mode = session", "default_pool_size = 4"]);
    for way in SESSION_WAYS {
        let server = ServerSetup::with_url(&bouncer.url(database.name())).args(way).start();
        expect_all_served(&server, &database, way);
        assert!(server.stderr().contains("behind a pooler"), "{}", server.stderr());
    }
}

#[test]
fn in_transaction_mode_unnamed_statements_are_served_past_the_poolers_size_and_also_in_parts() {
    let database = TestDatabase::create();
    for settings in [&[][..], &IN_PARTS] {
        let all = [&["pool_mode = transaction", "default_pool_size = 3"], settings].concat();
        let bouncer = Bouncer::start(Cluster::shared().port(), &all);
        for way in TRANSACTION_WAYS {
            let server = ServerSetup::with_url(&bouncer.url(database.name())).args(way).start();
            expect_all_served(&server, &database, way);
            assert!(!server.stderr().contains("WARN"), "{way:?}: {}", server.stderr());
        }
    }
}

/// Has every connection of the pooler to this database replaced, so that nothing is prepared any more.
fn forget_prepared(bouncer: &Bouncer, database: &TestDatabase) {
    Session::open(&bouncer.url("pgbouncer")).run("RECONNECT");
    wait_until("the pooler's connections to be closed", PATIENCE, || {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND pid <> pg_backend_pid()";
        (database.admin().number(open) == 0).then_some(())
    });
}

#[test]
fn in_transaction_mode_cached_statements_name_the_setting_that_mends_it_once() {
    let database = TestDatabase::create();
    let bouncer =
        Bouncer::start(Cluster::shared().port(), &["pool_mode = transaction", "admin_users = plimsoll"]);
    for way in SESSION_WAYS {
        let server = ServerSetup::with_url(&bouncer.url(database.name())).args(way).start();
        let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.get("/db").status, 200, "{way:?}: {}", server.stderr());
        }
        forget_prepared(&bouncer, &database);
        let mut refused = 0;
        for client in &mut clients {
            client.send(request("GET", "/db"));
        }
        for client in &mut clients {
            refused += u32::from(client.receive().status == 503);
        }
        assert!(refused > 0, "{way:?}: some statement is gone");
        server.wait_for_line("line that names the mend", |line| {
            (line.contains("SQLSTATE 26000") && line.contains("set --statements unnamed")).then_some(())
        });
        let is_warning = |line: &&str| line.contains("WARN") && line.contains("--statements unnamed");
        let said = server.stderr().lines().filter(is_warning).count();
        assert_eq!(said, 1, "{way:?}, of {refused} requests: {}", server.stderr());
    }
}

#[test]
fn start_up_options_that_the_pooler_refuses_name_what_mends_it() {
    let database = TestDatabase::create();
    let with_options =
        |bouncer: &Bouncer| format!("{}&options=-c%20statement_timeout%3D7s", bouncer.url(database.name()));
    let refusing = Bouncer::start(Cluster::shared().port(), &[]);
    let server = ServerSetup::with_url(&with_options(&refusing)).start();
    assert_eq!(get(&server, "/db").status, 503);
    for words in ["ALTER ROLE", "ignore_startup_parameters"] {
        assert!(server.stderr().contains(words), "{words}: {}", server.stderr());
    }
    let ignoring = Bouncer::start(Cluster::shared().port(), &["ignore_startup_parameters = options"]);
    let server = ServerSetup::with_url(&with_options(&ignoring)).start();
    assert_eq!(get(&server, "/db").status, 200, "{}", server.stderr());
}

#[test]
fn the_servers_that_a_pooler_keeps_open_are_not_in_the_way_of_the_plan() {
    let database = TestDatabase::create();
    // What the plan wants is more than PostgreSQL has, which it says where it is asked without a pooler.
    database.admin().run(&format!("ALTER DATABASE {} CONNECTION LIMIT 3", database.name()));
    let few = ServerSetup::with_database(&database).run();
    assert_eq!(few.code, Some(78), "{}", few.stderr);
    let bouncer = Bouncer::start(
        Cluster::shared().port(),
        &["pool_mode = transaction", "default_pool_size = 2", "reserve_pool_size = 0"],
    );
    let server =
        ServerSetup::with_url(&bouncer.url(database.name())).args(&["--statements", "unnamed"]).start();
    for answer in answers_at_once(&server, &vec!["/queries?queries=5".to_owned(); 32]) {
        assert_eq!(answer.status, 200, "{answer:?}\n{}", server.stderr());
    }
}

#[test]
fn what_outlives_its_deadline_is_cancelled_through_the_pooler() {
    for (mode, ways) in [("session", &SESSION_WAYS[..]), ("transaction", &TRANSACTION_WAYS)] {
        let database = TestDatabase::create();
        let bouncer = Bouncer::start(Cluster::shared().port(), &[&format!("pool_mode = {mode}")]);
        let watcher = Cluster::shared().administer(database.name());
        let waiting = || {
            watcher.number(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND usename = 'plimsoll' AND wait_event_type = 'Lock'",
            )
        };
        for (index, way) in ways.iter().enumerate() {
            // One connection with one query on it: what stands behind a query that is cancelled is ended by `statement_timeout`.
            let server =
                ServerSetup::of(&["serve", "--port", "0", "--workers", "1", "--database-max-conn", "1"])
                    .env("DATABASE_URL", bouncer.url(database.name()))
                    .args(way)
                    .args(&["--request-deadline", "1s"])
                    .start();
            wait_until("a connection", PATIENCE, || (get(&server, "/db").status == 200).then_some(()));
            database.admin().run("BEGIN; LOCK TABLE world IN ACCESS EXCLUSIVE MODE");
            assert_eq!(get(&server, "/db").status, 503, "{way:?}");
            // In transaction mode nobody has told PostgreSQL how long a statement may take.
            wait_until("the query's end", Duration::from_secs(2), || (waiting() == 0).then_some(()));
            wait_until("the pooler to have passed the cancel on", Duration::from_secs(2), || {
                (bouncer.log().matches("successfully sent cancel request").count() > index).then_some(())
            });
            database.admin().run("ROLLBACK");
        }
    }
}
