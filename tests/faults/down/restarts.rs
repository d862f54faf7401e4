//! PostgreSQL is restarted or killed under load.
//!
//! **Invariant:** the time of a recovery runs from the moment when a plain connection of the test is let in, to the first rows of the
//! client that waited longest.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::crowd::Crowd;
use super::{BACK_WITHIN, SLACK, WAYS, count, lines, middle_and_worst, recovery, serve, serve_by_two};
use super::{wait_for_ready, wait_for_refusals};
use crate::faults::figure;
use crate::harness::{
    Forwarder, MortalCluster, PATIENCE, ServerSetup, TestDatabase, TestServer, expect_within, request,
    wait_until,
};

/// The request deadline that `serve` has by default.
const DEADLINE: Duration = Duration::from_secs(3);

/// What happens to PostgreSQL.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// `pg_ctl restart -m immediate`, which is this signal and a start.
    Restart,
    /// The postmaster is killed with -9 and started again.
    Kill,
    /// One of its backends is killed with -9; it recovers by itself.
    KillBackend,
}

impl Fault {
    /// Makes it, and gives the recovery.
    fn make(self, cluster: &MortalCluster, crowd: &Crowd) -> Duration {
        match self {
            Self::Restart | Self::Kill => {
                cluster.end(if matches!(self, Self::Kill) { Signal::KILL } else { Signal::QUIT });
                // All clients have asked in vain by then.
                wait_for_refusals(crowd, 12);
                cluster.launch();
            }
            Self::KillBackend => cluster.kill_a_backend(),
        }
        crowd.mark();
        let accepting = cluster.wait_until_accepting();
        recovery(crowd, accepting)
    }
}

/// Makes these faults to one service; its recoveries and what became of the requests go into the figure.
fn make_all(
    cluster: &MortalCluster,
    setup: ServerSetup,
    faults: &[Fault],
) -> (TestServer, Vec<Duration>, String) {
    let server = setup.start();
    let before = cluster.world_numbers();
    let crowd = Crowd::start(&server);
    wait_until("the load to run", PATIENCE, || crowd.all_served());
    let mut recoveries = Vec::new();
    for fault in faults {
        expect_within(&format!("the recovery after {fault:?}"), BACK_WITHIN, || {
            let took = fault.make(cluster, &crowd);
            recoveries.push(took);
            took
        });
    }
    let account = crowd.end();
    let worst = account.worst();
    assert!(worst <= DEADLINE + SLACK, "a request took {worst:?}");
    account.check_table(&before, &cluster.world_numbers());
    let requests = format!(
        "{} requests, {} refused ({}), none wrong",
        account.requests(),
        account.refused.len(),
        middle_and_worst(&account.refused)
    );
    (server, recoveries, requests)
}

#[test]
fn postgresql_that_is_restarted_or_killed_is_served_from_within_a_second() {
    let cluster = MortalCluster::take();
    let faults = [Fault::Restart, Fault::Kill, Fault::KillBackend];
    let (_server, recoveries, requests) = make_all(&cluster, serve_by_two(&cluster), &faults);
    let back = middle_and_worst(&recoveries);
    figure("restarted, killed with -9, a backend killed with -9", format!("back after {back}; {requests}"));
}

#[test]
#[ignore = "a minute: make faults"]
fn postgresql_that_is_restarted_immediately_twenty_times_is_served_from_within_a_second_each_time() {
    twenty_times("restarted -m immediate", Fault::Restart);
}

#[test]
#[ignore = "a minute: make faults"]
fn postgresql_that_is_killed_twenty_times_is_served_from_within_a_second_each_time() {
    twenty_times("killed with -9", Fault::Kill);
}

fn twenty_times(name: &str, fault: Fault) {
    let cluster = MortalCluster::take();
    for (way, times) in WAYS.into_iter().zip([8, 6, 6]) {
        let (_server, recoveries, requests) = make_all(&cluster, serve(&cluster, way), &vec![fault; times]);
        let back = middle_and_worst(&recoveries);
        figure(
            &format!("{name}, {} times, {}", times, way.join(" ")),
            format!("back after {back}; {requests}"),
        );
    }
}

#[test]
fn requests_in_flight_as_postgresql_dies_are_503_at_once() {
    die_with_requests_in_flight(&[(WAYS[0], Signal::KILL)]);
}

#[test]
#[ignore = "seconds: make faults"]
fn requests_in_flight_as_postgresql_dies_are_503_at_once_each_way() {
    let each = WAYS.into_iter().flat_map(|way| [(way, Signal::KILL), (way, Signal::QUIT)]);
    die_with_requests_in_flight(&each.collect::<Vec<_>>());
}

fn die_with_requests_in_flight(each: &[(&[&str], Signal)]) {
    let cluster = MortalCluster::take();
    for &(way, by) in each {
        let server = serve(&cluster, way).args(&["--request-deadline", "25s"]).start();
        let mut took = Duration::ZERO;
        expect_within(&format!("{way:?}: the refusal of what was in flight"), BACK_WITHIN, || {
            let admin = cluster.administer("rows");
            admin.run("BEGIN; LOCK TABLE world IN ACCESS EXCLUSIVE MODE");
            let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
            for client in &mut clients {
                client.send(request("GET", "/db"));
            }
            // Another session, for within a transaction this view stays as it was first read.
            let watcher = cluster.administer("postgres");
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            wait_until("queries to wait for the lock", PATIENCE, || {
                (watcher.number(waiting) > 0).then_some(())
            });
            let began = Instant::now();
            cluster.end(by);
            for client in &mut clients {
                let response = client.receive();
                assert_eq!(response.status, 503, "{way:?}: {response:?}");
                assert!(response.header("retry-after").is_some(), "{way:?}: {response:?}");
            }
            took = began.elapsed();
            cluster.launch();
            cluster.wait_until_accepting();
            took
        });
        let last = took.as_millis();
        figure(
            &format!("ended by signal {} with requests in flight, {}", by.as_raw(), way.join(" ")),
            format!("the last refused after {last} ms"),
        );
    }
}

#[test]
fn a_service_of_several_processes_says_a_loss_once_and_its_return_once() {
    let cluster = MortalCluster::take();
    let server = serve_by_two(&cluster).args(&["--pool-per-core", "4"]).start();
    let crowd = Crowd::start(&server);
    wait_until("the load to run", PATIENCE, || crowd.all_served());
    let before = lines(&server).len();
    for times in 1..=2 {
        cluster.end(Signal::QUIT);
        wait_for_refusals(&crowd, 20);
        server.wait_for_lines("the database is not reached", times);
        wait_for_ready(&server, 503, "the database is not reached");
        cluster.launch();
        crowd.mark();
        recovery(&crowd, cluster.wait_until_accepting());
        server.wait_for_lines("the database is reached again", times);
        wait_for_ready(&server, 200, "ready");
    }
    crowd.end();
    let said = lines(&server);
    assert_eq!(said.len() - before, 4, "two losses and two returns:\n{}", server.stderr());
    assert_eq!(count(&server, "process "), 0, "the service says it, not its processes:\n{}", said.join("\n"));
}

#[test]
#[ignore = "a minute: make faults"]
fn a_database_that_comes_and_goes_is_said_at_a_pace_and_the_last_state_is_said_too() {
    /// Changes that are said as they come, and the time until the next one is after that.
    const BURST: usize = 10;
    const REFILL: Duration = Duration::from_secs(10);
    let database = TestDatabase::create();
    let mut forwarder = Forwarder::start();
    let server = ServerSetup::with_url(&database.url_through(forwarder.port())).start();
    let mut client = server.connect();
    assert_eq!(client.get("/db").status, 200);
    let began = Instant::now();
    for _ in 0..30 {
        forwarder.cut();
        wait_until("the loss", PATIENCE, || (client.get("/db").status == 503).then_some(()));
        forwarder.restore();
        // Longer than a return must last to be said.
        let back = Instant::now();
        wait_until("the return", PATIENCE, || {
            (client.get("/db").status == 200 && back.elapsed() > Duration::from_millis(200)).then_some(())
        });
    }
    let (said, took) = (lines(&server).len(), began.elapsed());
    let most = BURST + usize::try_from(took.as_secs() / REFILL.as_secs()).expect("a short time") + 1;
    assert!((2..=most).contains(&said), "{said} lines in {took:?}:\n{}", server.stderr());
    wait_until("the last state to be said", REFILL + PATIENCE, || {
        lines(&server).last().filter(|line| line.contains("the database is reached again")).map(drop)
    });
    figure(
        "PostgreSQL gone and back 30 times",
        format!("{said} lines in {:.1} s, and the last state", took.as_secs_f64()),
    );
}
