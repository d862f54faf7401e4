//! Statements that take too long: who ends them, and what is left of the connection.
//!
//! **Invariant:** what PostgreSQL is told is read by PostgreSQL itself, within the service's own sessions.

use std::thread;
use std::time::{Duration, Instant};

use super::figure;
use crate::harness::{Cluster, Forwarder, ServerSetup, Session, TestDatabase, get, request, wait_until};

const WAYS: [&[&str]; 3] =
    [&["--dispatch", "pipelined"], &["--dispatch", "exclusive"], &["--driver", "direct"]];

/// Makes of `world` a view whose numbers are the `statement_timeout` of whoever looks, in milliseconds.
const TELL_TIMEOUT: &str = "
    ALTER TABLE world RENAME TO numbers;
    CREATE VIEW world AS SELECT id,
        (SELECT setting::int4 FROM pg_settings WHERE name = 'statement_timeout') AS randomnumber FROM numbers;
    CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER writes INSTEAD OF UPDATE ON world FOR EACH ROW EXECUTE FUNCTION nothing();
    GRANT SELECT, UPDATE ON world TO plimsoll";

/// The `statement_timeout` in the sessions of a service that is started so.
fn timeout_in(url: &str, flags: &[&str]) -> i64 {
    let server = ServerSetup::with_url(url).args(flags).start();
    let answer = get(&server, "/db");
    assert_eq!(answer.status, 200, "{}", server.stderr());
    answer.json()["randomNumber"].as_i64().expect("a number")
}

#[test]
fn postgresql_is_told_to_end_a_statement_a_little_past_the_request_deadline() {
    let database = TestDatabase::create();
    database.admin().run(TELL_TIMEOUT);
    for way in WAYS {
        assert_eq!(timeout_in(&database.url(), way), 3_500, "{way:?}: 3 s by default");
    }
    assert_eq!(timeout_in(&database.url(), &["--request-deadline", "700ms"]), 1_200);
    // Who asks for another in the address has it, also for a longer one.
    let told = format!("{}&options=-c%20statement_timeout%3D7s", database.url());
    assert_eq!(timeout_in(&told, &[]), 7_000);
    let set = |to: &str| {
        database.admin().run(&format!("ALTER DATABASE {} SET statement_timeout = '{to}'", database.name()));
    };
    set("2s");
    assert_eq!(timeout_in(&database.url(), &[]), 2_000, "a shorter one stays");
    set("1min");
    assert_eq!(timeout_in(&database.url(), &[]), 3_500, "nobody waits for that long");
    // Behind a transaction pooler the next statement is somebody else's.
    assert_eq!(timeout_in(&database.url(), &["--statements", "unnamed"]), 60_000);
}

/// Sessions of the service that wait for a lock.
fn waiting(watcher: &Session) -> Vec<i32> {
    let query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                 AND usename = 'plimsoll' AND wait_event_type = 'Lock'";
    watcher.rows(query, &[]).iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_statement_whose_cancel_is_lost_is_ended_by_postgresql_itself() {
    let took: Vec<Duration> = thread::scope(|scope| {
        let losing = WAYS.map(|way| scope.spawn(move || lose_a_cancel(way)));
        losing.into_iter().map(|one| one.join().expect("its time")).collect()
    });
    figure(
        "a cancel that is lost, --request-deadline 500ms",
        format!("ended by PostgreSQL after {took:.2?}"),
    );
}

/// Hangs the way to PostgreSQL up while a query waits for a lock; says how long that query took.
fn lose_a_cancel(way: &[&str]) -> Duration {
    let database = TestDatabase::create();
    let mut forwarder = Forwarder::start();
    let server = ServerSetup::with_url(&database.url_through(forwarder.port()))
        .args(way)
        .args(&["--request-deadline", "500ms"])
        .start();
    assert_eq!(get(&server, "/db").status, 200);
    let watcher = Cluster::shared().administer(database.name());
    database.admin().run("BEGIN; LOCK TABLE world IN ACCESS EXCLUSIVE MODE");
    let mut client = server.connect();
    client.send(request("GET", "/db"));
    wait_until("the query to wait for the lock", Duration::from_millis(450), || {
        (!waiting(&watcher).is_empty()).then_some(())
    });
    let sent = Instant::now();
    forwarder.hang();
    assert_eq!(client.receive().status, 503, "{way:?}");
    // 1 s after it began, by the setting; a busy machine has another.
    wait_until("PostgreSQL to end it by itself", Duration::from_secs(2), || {
        waiting(&watcher).is_empty().then_some(())
    });
    let took = sent.elapsed();
    forwarder.restore();
    database.admin().run("ROLLBACK");
    took
}

#[test]
fn a_statement_that_postgresql_cancels_is_503_on_connections_that_stay() {
    thread::scope(|scope| {
        for way in WAYS {
            scope.spawn(move || cancel(way));
        }
    });
}

/// Has PostgreSQL cancel one query of each kind.
fn cancel(way: &[&str]) {
    let database = TestDatabase::create();
    let url = format!("{}&options=-c%20statement_timeout%3D200ms", database.url());
    // A lane for each worker: none is being opened when the lock comes.
    let server = ServerSetup::with_url(&url)
        .args(way)
        .args(&["--request-deadline", "20s", "--database-max-conn", "2"])
        .start();
    let mut client = server.connect();
    for target in ["/db", "/queries?queries=3", "/updates?queries=3"] {
        assert_eq!(client.get(target).status, 200);
    }
    let watcher = Cluster::shared().administer(database.name());
    let sessions = || {
        let query = "SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity \
                     WHERE datname = current_database() AND usename = 'plimsoll'";
        watcher.text(query)
    };
    let before = sessions();
    database.admin().run("BEGIN; LOCK TABLE world IN ACCESS EXCLUSIVE MODE");
    for target in ["/db", "/queries?queries=3", "/updates?queries=3"] {
        let sent = Instant::now();
        let answer = client.get(target);
        assert_eq!(answer.status, 503, "{way:?} {target}: {answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        assert!(sent.elapsed() < Duration::from_secs(10), "{way:?}: not before the request's deadline");
    }
    server.wait_for_line("line that names the mend", |line| {
        (line.contains("57014") && line.contains("pg_blocking_pids")).then_some(())
    });
    database.admin().run("ROLLBACK");
    wait_until("the routes to answer again", Duration::from_secs(1), || {
        (client.get("/queries?queries=3").status == 200).then_some(())
    });
    // With a connection for each request one that failed is replaced: what of its queries is pending is not known.
    if way[1] != "exclusive" {
        assert_eq!(sessions(), before, "{way:?}");
    }
}
