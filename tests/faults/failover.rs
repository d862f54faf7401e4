//! A primary that is lost and a standby that is promoted in its place, with the service on both.
//!
//! **Invariant:** a write is answered by a server that takes writes, or by 503; never by anything else.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::figure;
use crate::harness::{
    Client, Cluster, Forwarder, PATIENCE, ServerSetup, Session, Standby, TestDatabase, TestServer, get,
    kill_all_of, wait_until, worlds,
};

/// The promise: how long writes may be away after the standby has become the primary.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// What a client saw: when, and which status.
type Seen = Vec<(Instant, u16)>;

/// Clients that ask without a pause until they are told to end.
struct Traffic {
    is_over: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    fn start(address: SocketAddr, target: &'static str, clients: usize) -> Self {
        let (is_over, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::new())));
        let ask = || {
            let (is_over, seen) = (Arc::clone(&is_over), Arc::clone(&seen));
            move || {
                let mut client = Client::connect(address);
                while !is_over.load(Ordering::Relaxed) {
                    let response = client.get(target);
                    assert!([200, 503].contains(&response.status), "{target}: {response:?}");
                    if response.status == 503 {
                        assert!(response.header("retry-after").is_some(), "{response:?}");
                        // A refusal is quick; a client that asks again at once would only take the processor.
                        thread::park_timeout(Duration::from_millis(5));
                    }
                    seen.lock().expect("what was seen").push((Instant::now(), response.status));
                }
            }
        };
        let threads = (0..clients).map(|_| thread::spawn(ask())).collect();
        Self { is_over, seen, threads }
    }

    /// How long after this moment the first answer with 200 came, if it has.
    fn first_served(&self, from: Instant) -> Option<Duration> {
        let seen = self.seen.lock().expect("what was seen");
        seen.iter().filter(|(at, status)| *at > from && *status == 200).map(|(at, _)| *at - from).min()
    }

    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client to end well");
        }
    }
}

fn pair() -> (Cluster, Standby) {
    let primary = Cluster::start(60);
    primary.make_rows();
    let standby = Standby::of(&primary);
    let admin = primary.administer("postgres");
    wait_until("the standby to follow", PATIENCE, || {
        (admin.number("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 1)
            .then_some(())
    });
    (primary, standby)
}

fn url(ports: [u16; 2], wanting: &str) -> String {
    let [first, second] = ports;
    format!(
        "postgres://plimsoll:secret@127.0.0.1:{first},127.0.0.1:{second}/rows?sslmode=disable\
         &target_session_attrs={wanting}"
    )
}

/// Loses the primary under load; gives how long after the promotion the first write was answered.
fn fail_over(
    primary: &Cluster,
    standby: &Standby,
    setup: impl FnOnce(&str) -> ServerSetup,
) -> (Duration, TestServer) {
    let server = setup(&url([primary.port(), standby.port()], "read-write")).start();
    let (writes, reads) = (
        Traffic::start(server.address(), "/updates?queries=2", 4),
        Traffic::start(server.address(), "/db", 4),
    );
    let mut probe = server.connect();
    wait_until("writes on the primary", PATIENCE, || (probe.get("/updates").status == 200).then_some(()));
    kill_all_of(primary);
    wait_until("the loss to be noticed", PATIENCE, || (probe.get("/updates").status == 503).then_some(()));
    // The standby is there, and would answer reads; nobody asked for a session that only reads.
    let admin = standby.administer("postgres");
    let settled = Instant::now();
    wait_until("some attempts at the standby", PATIENCE, || {
        assert_eq!((probe.get("/updates").status, probe.get("/db").status), (503, 503));
        (settled.elapsed() > Duration::from_millis(500)).then_some(())
    });
    assert_eq!(writes.first_served(settled), None, "nobody took writes");
    standby.promote();
    let promoted = wait_until("the promotion", PATIENCE, || {
        (admin.text("SELECT pg_is_in_recovery()") == "f").then(Instant::now)
    });
    let back = wait_until("writes on the new primary", PATIENCE, || writes.first_served(promoted));
    wait_until("reads on the new primary", PATIENCE, || reads.first_served(promoted));
    writes.end();
    reads.end();
    // It is said once it holds.
    wait_until("the return in the log", PATIENCE, || {
        server.stderr().contains("the database is reached again").then_some(())
    });
    for lines in ["the database is not reached", "the database is reached again"] {
        let count = server.stderr().lines().filter(|line| line.contains(lines)).count();
        assert!((1..=12).contains(&count), "{count} times {lines:?}:\n{}", server.stderr());
    }
    expect_rows_written(&server, &standby.administer("rows"));
    (back, server)
}

/// Each kind of server is found, whichever of the two comes first.
fn expect_each_kind(ports: [u16; 2]) {
    for (wanting, writes) in
        [("primary", 200), ("read-write", 200), ("standby", 503), ("prefer-standby", 503), ("read-only", 503)]
    {
        let server = ServerSetup::with_url(&url(ports, wanting)).start();
        let mut client = server.connect();
        assert_eq!(client.get("/db").status, 200, "{wanting}: {}", server.stderr());
        assert_eq!(client.get("/updates").status, writes, "{wanting}: {}", server.stderr());
    }
}

/// The one server that is left is no standby: who would rather have one takes it, and who wants one does not.
fn expect_no_standby(ports: [u16; 2]) {
    let server = ServerSetup::with_url(&url(ports, "prefer-standby")).start();
    assert_eq!(get(&server, "/updates").status, 200, "{}", server.stderr());
    let server = ServerSetup::with_url(&url(ports, "standby")).start();
    assert_eq!(get(&server, "/db").status, 503);
    assert!(server.stderr().contains("is no standby"), "{}", server.stderr());
}

/// Demotes the server under the open sessions (25006): none is left that would read on and fail each write.
fn expect_given_up_when_it_only_reads(server: &TestServer, standby: &Standby) {
    let admin = standby.administer("postgres");
    let set = |to: &str| {
        admin.run(&format!("ALTER SYSTEM SET default_transaction_read_only = {to}"));
        admin.run("SELECT pg_reload_conf()");
    };
    // This worker has a session that was opened for writes, whatever came to the others.
    let mut client = server.connect();
    wait_until("writes of this worker's", PATIENCE, || (client.get("/updates").status == 200).then_some(()));
    set("on");
    wait_until("reads to be refused too", PATIENCE, || {
        (client.get("/updates").status == 503 && client.get("/db").status == 503).then_some(())
    });
    set("off");
    let changed = Instant::now();
    wait_until("writes again", PATIENCE, || (client.get("/updates").status == 200).then_some(()));
    assert!(changed.elapsed() < BACK_WITHIN, "back after {:?}", changed.elapsed());
    let said = server.stderr();
    let renewed = said.lines().filter(|line| line.contains("looks for a server that does")).count();
    assert!((1..=4).contains(&renewed), "said {renewed} times:\n{said}");
    figure(
        "a primary that is set to read only",
        format!("writes back {:?} after it took them again", changed.elapsed()),
    );
}

/// What a write says it wrote stands in the new primary's table.
fn expect_rows_written(server: &TestServer, admin: &Session) {
    // Each worker finds its way by itself.
    let response = wait_until("a write of this worker's", PATIENCE, || {
        Some(get(server, "/updates?queries=20")).filter(|response| response.status == 200)
    });
    for (id, number) in worlds(&response) {
        let stands = admin.number(&format!("SELECT randomnumber::int8 FROM world WHERE id = {id}"));
        assert_eq!(stands, i64::from(number), "row {id}");
    }
}

#[test]
fn writes_go_on_within_two_seconds_of_a_promotion_and_a_primary_that_turns_read_only_is_given_up() {
    let (primary, standby) = pair();
    let ports = [standby.port(), primary.port()];
    expect_each_kind(ports);
    let (back, server) = fail_over(&primary, &standby, ServerSetup::with_url);
    assert!(back < BACK_WITHIN, "writes were back {back:?} after the promotion");
    figure("failover to a promoted standby", format!("writes back {back:?} after the promotion"));
    expect_no_standby(ports);
    expect_given_up_when_it_only_reads(&server, &standby);
}

#[test]
#[ignore = "a minute: make faults"]
fn writes_go_on_within_two_seconds_of_a_promotion_in_every_way_of_asking() {
    for way in [&["--dispatch", "exclusive"][..], &["--driver", "direct"]] {
        let (primary, standby) = pair();
        let (back, server) = fail_over(&primary, &standby, |url| ServerSetup::with_url(url).args(way));
        figure(
            &format!("failover with {}", way.join(" ")),
            format!("writes back {back:?} after the promotion"),
        );
        assert!(back < BACK_WITHIN, "{way:?}: writes were back {back:?} after the promotion");
        expect_given_up_when_it_only_reads(&server, &standby);
    }
    let (primary, standby) = pair();
    let (back, server) = fail_over(&primary, &standby, |url| {
        ServerSetup::of(&["serve", "--port", "0", "--processes", "2", "--workers", "1"])
            .env("DATABASE_URL", url)
    });
    figure("failover in two processes", format!("writes back {back:?} after the promotion"));
    assert!(back < BACK_WITHIN, "two processes: writes were back {back:?} after the promotion");
    expect_given_up_when_it_only_reads(&server, &standby);
}

#[test]
#[ignore = "a minute: make faults"]
fn writes_go_on_within_two_seconds_of_a_promotion_when_the_primary_has_fallen_silent() {
    let (primary, standby) = pair();
    let mut way = Forwarder::start_cut(primary.port());
    way.restore();
    let server = ServerSetup::with_url(&url([way.port(), standby.port()], "read-write")).start();
    let writes = Traffic::start(server.address(), "/updates?queries=2", 4);
    let mut probe = server.connect();
    wait_until("writes on the primary", PATIENCE, || (probe.get("/updates").status == 200).then_some(()));
    way.hang();
    // What waits for the primary is given up at its deadline; from then on sessions are looked for elsewhere.
    wait_until("the loss to be noticed", PATIENCE, || {
        server.stderr().contains("takes no writes").then_some(())
    });
    standby.promote();
    let admin = standby.administer("postgres");
    let promoted = wait_until("the promotion", PATIENCE, || {
        (admin.text("SELECT pg_is_in_recovery()") == "f").then(Instant::now)
    });
    let back = wait_until("writes on the new primary", PATIENCE, || writes.first_served(promoted));
    writes.end();
    assert!(back < BACK_WITHIN, "writes were back {back:?} after the promotion");
    figure("failover from a primary that fell silent", format!("writes back {back:?} after the promotion"));
}

#[test]
fn a_host_that_swallows_packets_costs_the_first_request_its_share_and_later_ones_nothing() {
    let database = TestDatabase::create();
    // The kernel takes connections for it, and nobody ever answers one.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (dead, alive) = (silent.local_addr().unwrap().port(), Cluster::shared().port());
    let url = format!(
        "postgres://plimsoll@127.0.0.1:{dead},127.0.0.1:{alive}/{}?sslmode=disable&target_session_attrs=read-write",
        database.name()
    );
    let server = ServerSetup::of(&["serve", "--port", "0", "--workers", "1", "--database-max-conn", "1"])
        .env("DATABASE_URL", url)
        .start();
    let mut client = server.connect();
    let start = Instant::now();
    assert_eq!(client.get("/updates").status, 200, "within its deadline of 3 s: {}", server.stderr());
    let first = start.elapsed();
    // From here on the silent host comes last, also for sessions that replace lost ones.
    let mut again = Vec::new();
    for _ in 0..3 {
        database.admin().run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        let start = Instant::now();
        wait_until("writes again", PATIENCE, || (client.get("/updates").status == 200).then_some(()));
        again.push(start.elapsed());
    }
    assert!(again.iter().min() < Some(&Duration::from_secs(1)), "a replaced session took {again:?}");
    figure(
        "a first host that swallows packets",
        format!("first write after {first:?}, later ones {again:?}"),
    );
}

#[test]
fn a_first_host_that_is_silent_for_longer_than_a_request_may_wait_costs_the_first_requests_and_no_more() {
    const DEADLINE: Duration = Duration::from_millis(500);
    let database = TestDatabase::create();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (dead, alive) = (silent.local_addr().unwrap().port(), Cluster::shared().port());
    // Each host has the time that was asked for, and two seconds at the least.
    let url = format!(
        "postgres://plimsoll@127.0.0.1:{dead},127.0.0.1:{alive}/{}?sslmode=disable&connect_timeout=1",
        database.name()
    );
    let expect_served = |dispatch: &str| {
        let server = ServerSetup::of(&["serve", "--port", "0", "--workers", "1", "--dispatch", dispatch])
            .args(&["--request-deadline", "500ms"])
            .env("DATABASE_URL", &url)
            .start();
        let mut client = server.connect();
        let (start, mut refused) = (Instant::now(), 0);
        wait_until("the next host to be tried", PATIENCE, || {
            let asked = Instant::now();
            let status = client.get("/updates").status;
            assert!(asked.elapsed() < DEADLINE + Duration::from_secs(1), "{dispatch}: {:?}", asked.elapsed());
            refused += usize::from(status != 200);
            (status == 200).then_some(())
        });
        let took = start.elapsed();
        assert!(took < 2 * BACK_WITHIN, "{dispatch}: {took:?}\n{}", server.stderr());
        figure(
            &format!("a first host that is silent for longer than the deadline, {dispatch}"),
            format!("served after {took:?}, {refused} refused before"),
        );
    };
    thread::scope(|scope| {
        for dispatch in ["exclusive", "pipelined"] {
            scope.spawn(|| expect_served(dispatch));
        }
    });
}
