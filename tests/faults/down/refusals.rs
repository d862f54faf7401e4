//! PostgreSQL is there and refuses: no connection left, a wrong password, no database, no table, no writing.
//!
//! **Invariant:** connections are counted where they arrive, on the way to PostgreSQL, and lines in the service's own log.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::{BACK_WITHIN, WAYS, count, lines, wait_for_ready};
use crate::faults::figure;
use crate::harness::{
    Client, Forwarder, MortalCluster, PATIENCE, ServerSetup, Session, TestServer, expect_within, request,
    wait_until,
};

/// Workers of the service, and the database connections that each may have.
const WORKERS: usize = 2;
const POOL: usize = 4;
/// The shortest wait between two attempts of a worker, once it has grown to its bound.
const LEAST: Duration = Duration::from_millis(150);
/// Each client asks so often in vain at the least, which a storm would show by as many connections.
const LEAST_ROUNDS: usize = 10;
/// Between two rounds of requests.
const REST: Duration = Duration::from_millis(5);

const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'plimsoll'";

const RELOAD: &str = "SELECT pg_reload_conf()";

/// A fault that PostgreSQL words itself.
struct Refusal {
    code: &'static str,
    /// What is run as superuser, in which database; the service's sessions are ended by it where they would hide the fault.
    made_by: (&'static str, &'static str),
    mended_by: (&'static str, &'static str),
    /// A part of what the log line says mends it.
    mend: &'static str,
    /// The route that is refused, and one that is served all the same.
    refused: &'static str,
    served: Option<&'static str>,
}

const REFUSALS: [Refusal; 5] = [
    Refusal {
        code: "53300",
        made_by: ("postgres", "ALTER ROLE plimsoll CONNECTION LIMIT 0"),
        mended_by: ("postgres", "ALTER ROLE plimsoll CONNECTION LIMIT -1"),
        mend: "CONNECTION LIMIT",
        refused: "/db",
        served: None,
    },
    Refusal {
        code: "28P01",
        made_by: ("postgres", "ALTER ROLE plimsoll PASSWORD 'another'"),
        mended_by: ("postgres", "ALTER ROLE plimsoll PASSWORD 'secret'"),
        mend: "user \"plimsoll\" (SQLSTATE 28P01); name its user and password in DATABASE_URL",
        refused: "/db",
        served: None,
    },
    Refusal {
        code: "3D000",
        made_by: ("postgres", "ALTER DATABASE rows RENAME TO away"),
        mended_by: ("postgres", "ALTER DATABASE away RENAME TO rows"),
        mend: "`plimsoll init-db`",
        refused: "/db",
        served: None,
    },
    Refusal {
        code: "42P01",
        made_by: ("rows", "ALTER TABLE world RENAME TO world_away"),
        mended_by: ("rows", "ALTER TABLE world_away RENAME TO world"),
        mend: "`plimsoll init-db`",
        refused: "/db",
        served: Some("/fortunes"),
    },
    Refusal {
        code: "25006",
        // Sessions that are open follow, as they do where a standby is promoted.
        made_by: ("postgres", "ALTER SYSTEM SET default_transaction_read_only = on"),
        mended_by: ("postgres", "ALTER SYSTEM RESET default_transaction_read_only"),
        mend: "target_session_attrs=read-write",
        refused: "/updates?queries=3",
        served: Some("/db"),
    },
];

impl Refusal {
    fn make(&self, cluster: &MortalCluster) {
        let (database, statement) = self.made_by;
        let admin = cluster.administer(database);
        match self.code {
            "42P01" => admin.run(statement),
            "25006" => {
                admin.run(statement);
                admin.run(RELOAD);
            }
            // It waits for sessions of the database to end, and who comes meanwhile waits for it.
            "3D000" => std::thread::scope(|scope| {
                let renaming = scope.spawn(|| cluster.administer(database).run(statement));
                while !renaming.is_finished() {
                    admin.run(TERMINATE);
                    std::thread::park_timeout(REST);
                }
            }),
            _ => {
                admin.run(statement);
                admin.run(TERMINATE);
            }
        }
    }

    fn mend(&self, cluster: &MortalCluster) {
        let (database, statement) = self.mended_by;
        let admin = cluster.administer(database);
        admin.run(statement);
        if self.code == "25006" {
            admin.run(RELOAD);
        }
    }
}

/// A service behind a forwarder, and clients on all its workers.
struct Stage {
    server: TestServer,
    forwarder: Forwarder,
    clients: Vec<Client>,
}

impl Stage {
    fn set(cluster: &MortalCluster, way: &[&str]) -> Self {
        let mut forwarder = Forwarder::start_cut(cluster.port());
        forwarder.restore();
        let (workers, most) = (WORKERS.to_string(), (WORKERS * POOL).to_string());
        let server = ServerSetup::of(&["serve", "--port", "0", "--accept", "handoff", "--workers", &workers])
            .args(&["--pool-per-core", "100", "--database-max-conn", &most])
            .args(way)
            .env("DATABASE_URL", MortalCluster::url_through(forwarder.port()))
            .start();
        // The acceptor gives each to the worker with the fewest.
        let clients = (0..WORKERS * 2).map(|_| server.connect()).collect();
        let mut stage = Self { server, forwarder, clients };
        for target in ["/db", "/updates?queries=3", "/fortunes"] {
            assert!(stage.statuses(target).iter().all(|status| *status == 200), "{way:?} {target}");
        }
        stage
    }

    /// What all clients are answered who ask this at once.
    fn statuses(&mut self, target: &str) -> Vec<u16> {
        self.clients.iter_mut().for_each(|client| client.send(request("GET", target)));
        let receive = |client: &mut Client| {
            let response = client.receive();
            assert!([200, 503].contains(&response.status), "{target}: {response:?}");
            assert_eq!(response.status == 503, response.header("retry-after").is_some(), "{response:?}");
            response.status
        };
        self.clients.iter_mut().map(receive).collect()
    }

    /// Whether all are answered so.
    fn all(&mut self, target: &str, status: u16) -> bool {
        self.statuses(target).iter().all(|other| *other == status)
    }

    fn attempts(&self) -> usize {
        self.forwarder.conversations().len()
    }
}

/// As many connections as attempts that keep their distance, of each worker, may make, and each pool once over, and what `/readyz` asks.
fn most_attempts(within: Duration) -> usize {
    let spaced = usize::try_from(within.as_millis() / LEAST.as_millis()).expect("a short time");
    WORKERS * (spaced + 6 + POOL) + 4 + usize::try_from(within.as_secs()).expect("a short time")
}

/// Makes the fault for so long, mends it, and gives what was measured.
fn refuse(cluster: &MortalCluster, refusal: &Refusal, way: &[&str], lasting: Duration) -> (Duration, String) {
    let mut stage = Stage::set(cluster, way);
    let code = refusal.code;
    let (said, attempts, began) = (lines(&stage.server).len(), stage.attempts(), Instant::now());
    refusal.make(cluster);
    let mut rounds = 0;
    wait_until("the fault to last", lasting + PATIENCE, || {
        assert!(stage.all("/json", 200), "{code} {way:?}");
        let refused = stage.statuses(refusal.refused);
        rounds += 1;
        if let Some(served) = refusal.served {
            stage.statuses(served);
        }
        std::thread::park_timeout(REST);
        (began.elapsed() >= lasting && rounds >= LEAST_ROUNDS && refused.iter().all(|status| *status == 503))
            .then_some(())
    });
    if let Some(served) = refusal.served {
        assert!(stage.all(served, 200), "{code} {way:?}: it serves {served}");
    }
    stage.server.wait_for_lines(code, 1);
    wait_for_ready(&stage.server, if refusal.served.is_some() { 200 } else { 503 }, code);
    let (made, lasted) = (stage.attempts() - attempts, began.elapsed());
    // Where sessions stay as they are and take queries, there is nothing to open but what the pools lack.
    let most = if code == "25006" { WORKERS * POOL } else { most_attempts(lasted) };
    assert!(made <= most, "{code} {way:?}: {made} connections in {lasted:?}, {most} at the most");
    refusal.mend(cluster);
    let mended = Instant::now();
    let routes = [Some(refusal.refused), refusal.served];
    wait_until("all to be served again", PATIENCE, || {
        routes.into_iter().flatten().all(|target| stage.all(target, 200)).then_some(())
    });
    let back = mended.elapsed();
    wait_until("the end of it to be said", PATIENCE, || {
        stage.all(refusal.refused, 200);
        (count(&stage.server, " again") == 1).then_some(())
    });
    wait_for_ready(&stage.server, 200, "it is ready\n");
    let log = lines(&stage.server).split_off(said);
    let of_it: Vec<&String> =
        log.iter().filter(|line| line.contains("WARN") && line.contains(code)).collect();
    assert_eq!(of_it.len(), 1, "{code} {way:?}: one line as it begins:\n{}", log.join("\n"));
    assert!(of_it[0].contains(refusal.mend), "{}", of_it[0]);
    // Where sessions were ended by the test, a first line may say that connections were lost.
    assert!(log.len() <= 3, "{code} {way:?}:\n{}", log.join("\n"));
    let (seconds, back_ms) = (lasted.as_secs_f64(), back.as_millis());
    (back, format!("{made} connections in {seconds:.1} s; served {back_ms} ms after the mend"))
}

#[test]
fn what_postgresql_refuses_is_503_said_once_with_its_mend_and_makes_no_storm() {
    // Of connections, and of read-only, the tests below have the rest.
    refuse_all(&WAYS[..1], &REFUSALS[1..4], Duration::from_millis(400));
}

#[test]
#[ignore = "a minute: make faults"]
fn what_postgresql_refuses_for_seconds_is_503_said_once_with_its_mend_and_makes_no_storm() {
    refuse_all(&WAYS, &REFUSALS, Duration::from_secs(4));
}

fn refuse_all(ways: &[&[&str]], refusals: &[Refusal], lasting: Duration) {
    let cluster = MortalCluster::take();
    for way in ways {
        for refusal in refusals {
            let mut measured = String::new();
            expect_within(&format!("{} {way:?}: the way back", refusal.code), BACK_WITHIN, || {
                let (back, said) = refuse(&cluster, refusal, way, lasting);
                measured = said;
                back
            });
            figure(&format!("PostgreSQL refuses by {}, {}", refusal.code, way.join(" ")), measured);
        }
    }
}

#[test]
fn a_read_only_database_that_each_update_meets_is_not_connected_to_anew_each_time() {
    let cluster = MortalCluster::take();
    let refusal = &REFUSALS[4];
    let (_, measured) = refuse(&cluster, refusal, WAYS[1], Duration::from_millis(600));
    figure("a read-only database, exclusive dispatch", measured);
}

#[test]
fn when_max_connections_are_reached_the_service_serves_on_what_it_has_and_says_so_once() {
    drop(run_short());
}

#[test]
#[ignore = "seconds, for attempts at one more connection grow apart to five: make faults"]
fn when_connections_are_to_be_had_again_the_service_takes_them_and_says_so() {
    let (mut stage, _cluster) = run_short();
    wait_until("more connections", PATIENCE, || {
        stage.all("/queries?queries=500", 200);
        (count(&stage.server, "the database takes more connections again") == 1).then_some(())
    });
}

/// Has the service ask for more connections than there are, and gives it when they are there again.
fn run_short() -> (Stage, MutexGuard<'static, MortalCluster>) {
    let cluster = MortalCluster::take();
    let mut stage = Stage::set(&cluster, WAYS[0]);
    let (said, attempts, began) = (lines(&stage.server).len(), stage.attempts(), Instant::now());
    let mut others: Vec<Session> = Vec::new();
    let why = loop {
        match Session::try_open(&cluster.url()) {
            Ok(session) => others.push(session),
            Err(error) => break format!("{error:?}"),
        }
    };
    assert!(why.contains("53300"), "{why}");
    // Requests of many queries that come together ask for another connection.
    let more: Vec<Client> = (0..20).map(|_| stage.server.connect()).collect();
    stage.clients.extend(more);
    wait_until("the shortage to be said", PATIENCE, || {
        assert!(stage.all("/queries?queries=500", 200), "{}", stage.server.stderr());
        (count(&stage.server, "serving on fewer database connections than planned") > 0).then_some(())
    });
    wait_for_ready(&stage.server, 200, "it is ready, but the database: ");
    let (made, most) = (stage.attempts() - attempts, most_attempts(began.elapsed()));
    assert!(made <= most, "{made} connections, {most} at the most");
    let log = lines(&stage.server).split_off(said);
    assert_eq!(log.len(), 1, "{}", log.join("\n"));
    assert!(log[0].contains("SQLSTATE 53300") && log[0].contains("raise max_connections"), "{}", log[0]);
    drop(others);
    figure("max_connections reached (53300)", format!("all served on what there was; {made} attempts"));
    (stage, cluster)
}
