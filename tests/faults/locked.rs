//! Locks on `world`, held by somebody else while all routes are under load.
//!
//! **Invariant:** what each client asked, when, and what came of it is kept, so that nothing is judged by a sample.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::figure;
use crate::harness::{
    Client, Cluster, PATIENCE, ServerSetup, Session, TestDatabase, TestServer, get, request, wait_until,
};
use crate::telemetry::status;

/// What is asked, and by how many clients at a time.
const ROUTES: [(&str, usize); 5] =
    [("/db", 4), ("/queries?queries=20", 4), ("/updates?queries=20", 4), ("/fortunes", 2), ("/json", 1)];

/// The pipelined ways; with a connection for each request, requests that a lock holds up soon have all of them.
const WAYS: [&[&str]; 2] = [&["--dispatch", "pipelined"], &["--driver", "direct"]];

/// One request.
#[derive(Debug, Clone, Copy)]
struct Asked {
    route: &'static str,
    at: Instant,
    took: Duration,
    status: u16,
}

/// Clients that ask one request after the other until they are stopped.
struct Load {
    kept: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(server: &TestServer) -> Self {
        let (kept, over) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let address = server.address();
        let routes = ROUTES.iter().flat_map(|(route, clients)| std::iter::repeat_n(*route, *clients));
        let clients = routes.map(|route| {
            let (kept, over) = (Arc::clone(&kept), Arc::clone(&over));
            thread::spawn(move || ask(&mut Client::connect(address), route, &kept, &over))
        });
        Self { clients: clients.collect(), kept, over }
    }

    fn look<T>(&self, look: impl FnOnce(&[Asked]) -> T) -> T {
        look(&self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// When a request to this route was first answered so, of those that were sent at this time or later.
    fn first(&self, route: &str, status: u16, from: Instant) -> Option<Instant> {
        let is_it = |asked: &&Asked| asked.route == route && asked.status == status && asked.at >= from;
        self.look(|kept| kept.iter().find(is_it).map(|asked| asked.at + asked.took))
    }

    /// Waits until every route has answered with 200 so often since then.
    fn wait_for_answers(&self, count: usize, from: Instant, limit: Duration) {
        for (route, _) in ROUTES {
            wait_until(&format!("{count} answers of {route}"), limit, || {
                let is_it = |asked: &&Asked| asked.route == route && asked.status == 200 && asked.at >= from;
                (self.look(|kept| kept.iter().filter(is_it).count()) >= count).then_some(())
            });
        }
    }

    fn stop(mut self) -> Vec<Asked> {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("a client to end");
        }
        self.look(<[Asked]>::to_vec)
    }
}

fn ask(client: &mut Client, route: &'static str, kept: &Mutex<Vec<Asked>>, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let at = Instant::now();
        let status = client.get(route).status;
        let asked = Asked { route, at, took: at.elapsed(), status };
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        // Refusals come fast, and the others want the processor too.
        if status != 200 || route == "/json" {
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// The service's sessions that wait for a lock.
fn waiting(watcher: &Session) -> BTreeSet<i32> {
    let query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                 AND usename = 'plimsoll' AND wait_event_type = 'Lock'";
    watcher.rows(query, &[]).iter().map(|row| row.get(0)).collect()
}

/// A lock, and what it is to come of it.
struct Case {
    way: &'static [&'static str],
    lock: &'static str,
    deadline: Duration,
    /// How long past the deadline an answer may come.
    slack: Duration,
    /// For how long the lock is held beyond twice the deadline.
    held: Duration,
    /// What has to be answered all the while, but for two deadlines after the lock.
    served: &'static [&'static str],
}

/// Makes the fault and undoes it; says what came of it.
fn run(case: &Case) -> String {
    let database = TestDatabase::create();
    let deadline = format!("{}ms", case.deadline.as_millis());
    // Four lanes for each of two workers.
    let server = ServerSetup::with_database(&database)
        .args(&["--pool-per-core", "100", "--database-max-conn", "8", "--request-deadline", &deadline])
        .args(case.way)
        .start();
    let watcher = Cluster::shared().administer(database.name());
    let load = Load::start(&server);
    load.wait_for_answers(20, Instant::now(), PATIENCE);

    database.admin().run(&format!("BEGIN; {}", case.lock));
    let locked = Instant::now();
    let held_up = wait_until("queries to wait for the lock", PATIENCE, || {
        Some(waiting(&watcher)).filter(|pids| !pids.is_empty())
    });
    wait_until("them to be cancelled", case.deadline + Duration::from_secs(1), || {
        waiting(&watcher).is_disjoint(&held_up).then_some(())
    });
    let cancelled = locked.elapsed();
    let settled = locked + 2 * case.deadline;
    wait_until("two deadlines, and the rest of the time", PATIENCE, || {
        (Instant::now() >= settled + case.held).then_some(())
    });
    for route in case.served {
        assert!(load.first(route, 200, settled).is_some(), "{route} under the lock:\n{}", server.stderr());
    }
    let released = Instant::now();
    database.admin().run("ROLLBACK");
    load.wait_for_answers(1, released, Duration::from_secs(1) + case.slack);
    let back = ROUTES.iter().filter_map(|(route, _)| load.first(route, 200, released)).max();
    load.wait_for_answers(20, released, PATIENCE);
    let asked = load.stop();

    let late: Vec<&Asked> = asked.iter().filter(|one| one.took > case.deadline + case.slack).collect();
    assert!(late.is_empty(), "{late:?}\n{}", server.stderr());
    assert!(asked.iter().all(|one| [200, 503].contains(&one.status)), "{}", server.stderr());
    assert!(asked.iter().all(|one| one.route != "/json" || one.status == 200));
    let failed = |from: Instant, to: Instant| {
        let failed = asked.iter().filter(|one| {
            case.served.contains(&one.route) && one.status != 200 && one.at >= from && one.at < to
        });
        failed.count()
    };
    let (first, later) = (failed(locked, settled), failed(settled, released));
    assert_eq!(later, 0, "{:?} past two deadlines:\n{}", case.served, server.stderr());
    let answered = asked.iter().filter(|one| {
        case.served.contains(&one.route) && one.status == 200 && one.at >= settled && one.at < released
    });
    let longest = asked.iter().map(|one| one.took).max().unwrap_or_default();
    format!(
        "{:?}: cancelled after {cancelled:.2?}, of {:?} {first} failed within two deadlines, then 0 of {}; longest answer {longest:.2?}; \
         back {:.0?} after the release",
        case.way,
        case.served,
        answered.count(),
        back.unwrap_or(released) - released,
    )
}

const TABLE: &str = "LOCK TABLE world IN ACCESS EXCLUSIVE MODE";
/// Two of three updates of 20 rows meet one of these.
const ROWS: &str = "SELECT FROM world WHERE id <= 500 FOR UPDATE";

#[test]
fn what_stands_behind_a_query_that_is_held_up_fails_with_its_lane_and_what_comes_later_is_served() {
    thread::scope(|scope| {
        for way in WAYS {
            scope.spawn(move || stand_behind(way));
        }
    });
}

/// Puts one request behind another that a lock holds up, and then some beside them.
fn stand_behind(way: &[&str]) {
    let database = TestDatabase::create();
    let server = ServerSetup::of(&["serve", "--port", "0", "--workers", "1"])
        .args(&["--pool-per-core", "100", "--database-max-conn", "2", "--request-deadline", "2s"])
        .args(way)
        .env("DATABASE_URL", database.url())
        .start();
    assert_eq!(get(&server, "/fortunes").status, 200);
    database.admin().run("BEGIN; LOCK TABLE world IN ACCESS EXCLUSIVE MODE");
    let (mut held_up, mut behind) = (server.connect(), server.connect());
    let sent = Instant::now();
    held_up.send(request("GET", "/db"));
    wait_until("the query to wait for the lock", Duration::from_millis(400), || {
        (status(&server).now.pool.lanes.iter().sum::<u32>() == 1).then_some(())
    });
    behind.send(request("GET", "/fortunes"));
    wait_until("the other to stand behind it", Duration::from_millis(400), || {
        (status(&server).now.pool.lanes.iter().sum::<u32>() == 2).then_some(())
    });
    server.wait_for_line("line that says what is held up", |line| {
        line.contains("PostgreSQL holds reads of world and updates of world up").then_some(())
    });
    assert!(!behind.arrived() && sent.elapsed() < Duration::from_secs(2));
    for _ in 0..20 {
        assert_eq!(get(&server, "/fortunes").status, 200, "{way:?}:\n{}", server.stderr());
    }
    assert_eq!((held_up.receive().status, behind.receive().status), (503, 503), "{way:?}");
    let took = sent.elapsed();
    assert!(took > Duration::from_millis(1_900), "{way:?}: both with the first one's deadline: {took:?}");
    assert_eq!(get(&server, "/fortunes").status, 200, "{way:?}");
    database.admin().run("ROLLBACK");
    wait_until("the table to be read again", Duration::from_secs(1), || {
        (held_up.get("/db").status == 200).then_some(())
    });
}

#[test]
fn a_service_that_starts_while_the_table_is_locked_serves_what_is_not() {
    for way in WAYS {
        let database = TestDatabase::create();
        database.admin().run("BEGIN; LOCK TABLE world IN ACCESS EXCLUSIVE MODE");
        let server =
            ServerSetup::of(&["serve", "--port", "0", "--workers", "1", "--request-deadline", "500ms"])
                .args(way)
                .env("DATABASE_URL", database.url())
                .start();
        // The first connection is held up in preparing the statements, all of them; the next one leaves that to who asks.
        wait_until("what is not locked to be served", Duration::from_secs(3), || {
            (get(&server, "/fortunes").status == 200).then_some(())
        });
        assert_eq!(get(&server, "/db").status, 503, "{way:?}");
        database.admin().run("ROLLBACK");
        wait_until("the table to be read", Duration::from_secs(1), || {
            (get(&server, "/db").status == 200).then_some(())
        });
    }
}

#[test]
fn a_lock_on_the_table_leaves_the_other_routes_a_lane() {
    let said = run(&Case {
        way: WAYS[0],
        lock: TABLE,
        deadline: Duration::from_secs(1),
        slack: Duration::from_secs(1),
        held: Duration::from_millis(200),
        served: &["/fortunes"],
    });
    figure("a lock on world, --request-deadline 1s", said);
}

#[test]
fn locks_on_rows_leave_reads_a_lane() {
    let said = run(&Case {
        way: WAYS[0],
        lock: ROWS,
        deadline: Duration::from_secs(1),
        slack: Duration::from_secs(1),
        held: Duration::from_secs(1),
        served: &["/fortunes", "/db", "/queries?queries=20"],
    });
    figure("500 rows of world locked, --request-deadline 1s", said);
}

#[test]
#[ignore = "a minute: make faults"]
fn a_long_lock_on_the_table_leaves_the_other_routes_a_lane() {
    for way in WAYS {
        let said = run(&Case {
            way,
            lock: TABLE,
            deadline: Duration::from_secs(3),
            slack: Duration::from_millis(100),
            held: Duration::from_secs(10),
            served: &["/fortunes"],
        });
        figure("a lock on world for 16 s", said);
    }
}

#[test]
#[ignore = "a minute: make faults"]
fn long_locks_on_rows_leave_reads_a_lane() {
    for way in WAYS {
        let said = run(&Case {
            way,
            lock: ROWS,
            deadline: Duration::from_secs(3),
            slack: Duration::from_millis(100),
            held: Duration::from_secs(10),
            served: &["/fortunes", "/db", "/queries?queries=20"],
        });
        figure("500 rows of world locked for 16 s", said);
    }
}
