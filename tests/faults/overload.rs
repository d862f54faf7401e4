//! More requests than PostgreSQL can answer, ten times as many, by an open loop; and as many at once as the benchmark's rules ask.
//!
//! Queries sleep, so that PostgreSQL is at its limit and neither the service nor the load generator on the same cores is. A goodput is what was
//! answered with 200; its peak is what a closed loop finds.
//!
//! **Invariant:** latencies are of `plimsoll load`, counted from when a request was due; nothing is left out that was due and not sent.

use std::fmt::Display;
use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::figure;
use crate::harness::{ServerSetup, TestDatabase, TestServer, get, wait_until};

/// What of its patience a request that was let in may have waited, at the most: of the default deadline.
const ADMITTED_WAIT: Duration = Duration::from_millis(1_500);

/// Has each query on `world` sleep first.
fn slow_down(database: &TestDatabase, seconds: f64) {
    database.admin().run(&format!(
        "ALTER TABLE world RENAME TO world_rows; \
         CREATE VIEW world AS SELECT id, randomnumber FROM world_rows WHERE (SELECT pg_sleep({seconds})::text) IS NOT NULL; \
         ALTER VIEW world OWNER TO plimsoll"
    ));
}

/// `plimsoll load --json` on a path, and what it printed.
fn load(server: &TestServer, path: &str, limit: Duration, words: &[&str]) -> Value {
    let url = format!("http://{}{path}", server.address());
    let mut program = ServerSetup::of(&["load", "--json", "-t1"]).args(words).arg(&url).launch();
    let finished = program.wait(limit);
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

pub(super) fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_default()
}

pub(super) fn count(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

pub(super) fn resident_kib(server: &TestServer) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

/// What came of an overload.
struct Overload {
    peak: f64,
    /// Answers with 200 a second.
    goodput: f64,
    report: Value,
    /// The service's resident memory as time passed, in KiB.
    resident: Vec<f64>,
}

impl Overload {
    /// Finds the peak, and offers ten times as much for so long.
    fn make(server: &TestServer, connections: u32, time: Duration) -> Self {
        let limit = time * 2 + Duration::from_secs(30);
        let closed = load(server, "/db", limit, &["-c256", "--warm-up", "500ms", "-d1500ms"]);
        let peak = number(&closed, "/statuses/200") / number(&closed, "/elapsed_s");
        assert_eq!(count(&closed, "/non_2xx"), 0, "{closed}");
        let (connections, rate) = (format!("-c{connections}"), format!("{:.0}", peak * 10.0));
        let time_word = format!("{}ms", time.as_millis());
        let words = [&connections, "--rate", &rate, "-d", &time_word, "--timeout", "10s"];
        let mut resident = Vec::new();
        let report = thread::scope(|scope| {
            let offered = scope.spawn(|| load(server, "/db", limit, &words));
            wait_until("the load to end", limit, || {
                resident.push(resident_kib(server));
                offered.is_finished().then_some(())
            });
            offered.join().expect("a report")
        });
        // Answers to what was due at the end came after it.
        let goodput = number(&report, "/statuses/200") / (time + ADMITTED_WAIT).as_secs_f64();
        Self { peak, goodput, report, resident }
    }

    fn share(&self) -> f64 {
        self.goodput / self.peak
    }

    fn millis(&self, status: &str, quantile: &str) -> f64 {
        number(&self.report, &format!("/latency_us_by_status/{status}/{quantile}")) / 1e3
    }

    /// The mean resident memory of the last quarter of the time, by that of the second.
    fn growth(&self) -> f64 {
        let quarter = self.resident.len() / 4;
        let mean = |samples: &[f64]| samples.iter().sum::<f64>() / float(samples.len());
        mean(&self.resident[3 * quarter..]) / mean(&self.resident[quarter..2 * quarter])
    }

    fn say(&self, what: impl Display) {
        figure(
            "overload",
            format_args!(
                "{what}: offered {:.0} requests a second, goodput {:.0} % of {:.0} a second, refused {:.0} with p99 {:.1} ms, \
                 answered with p50 {:.0} ms and p99 {:.0} ms, never sent {:.0}, memory of the last quarter {:.3} of the second, {:.0} MB at most",
                number(&self.report, "/rate_asked"),
                self.share() * 100.0,
                self.peak,
                number(&self.report, "/statuses/503"),
                self.millis("503", "p99"),
                self.millis("200", "p50"),
                self.millis("200", "p99"),
                number(&self.report, "/unsent"),
                self.growth(),
                self.resident.iter().copied().fold(0.0, f64::max) / 1024.0,
            ),
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of samples")]
pub(super) fn float(count: usize) -> f64 {
    count as f64
}

/// One service with so many database connections, whose queries sleep for so long.
fn slow_service(database: &TestDatabase, dispatch: &str, connections: &str, seconds: f64) -> TestServer {
    slow_down(database, seconds);
    let server = ServerSetup::with_database(database)
        .args(&["--dispatch", dispatch, "--pool-per-core", connections, "--database-max-conn", connections])
        .start();
    assert_eq!(get(&server, "/db").status, 200);
    server
}

#[test]
fn ten_times_the_capacity_is_answered_as_fast_as_it_can_be_and_refused_at_once_beyond() {
    let database = TestDatabase::create();
    let server = slow_service(&database, "pipelined", "4", 0.02);
    let overload = Overload::make(&server, 1_200, Duration::from_secs(3));
    overload.say("pipelined, 3 s");
    let report = &overload.report;
    assert!(overload.share() > 0.5, "goodput {} of {}: {report}", overload.goodput, overload.peak);
    let (answered, refused) = (number(report, "/statuses/200"), number(report, "/statuses/503"));
    assert!(refused > answered, "{report}");
    // Without a bound they would be refused at their deadline, after three seconds.
    assert!(overload.millis("503", "p50") < 1_000.0, "{report}");
    assert_eq!(count(report, "/errors"), 0, "{report}");
    assert!(!server.stderr().contains("outlived"), "a lane was lost:\n{}", server.stderr());
    assert!(resident_kib(&server) < 300.0 * 1024.0, "{} KiB", resident_kib(&server));
    // It is over at once.
    let after = load(&server, "/db", Duration::from_secs(30), &["-c8", "-n100"]);
    assert_eq!(count(&after, "/statuses/200"), 100, "{after}");
}

#[test]
#[ignore = "two minutes: make faults"]
fn ten_times_the_capacity_for_two_minutes_leaves_goodput_and_memory_as_they_are() {
    let database = TestDatabase::create();
    let server = slow_service(&database, "pipelined", "8", 0.02);
    let overload = Overload::make(&server, 4_000, Duration::from_mins(2));
    overload.say("pipelined, 2 minutes");
    let report = &overload.report;
    assert!(overload.share() >= 0.9, "goodput {} of {}: {report}", overload.goodput, overload.peak);
    assert!(overload.millis("503", "p99") < 50.0, "{report}");
    assert!((0.95..1.05).contains(&overload.growth()), "{}: {:?}", overload.growth(), overload.resident);
    assert_eq!(count(report, "/errors"), 0, "{report}");
}

#[test]
#[ignore = "a minute: make faults"]
fn ten_times_the_capacity_of_exclusive_connections_leaves_goodput_as_it_is() {
    let database = TestDatabase::create();
    let server = slow_service(&database, "exclusive", "8", 0.02);
    let overload = Overload::make(&server, 4_000, Duration::from_secs(20));
    overload.say("exclusive, 20 s");
    assert!(overload.share() >= 0.9, "goodput {} of {}", overload.goodput, overload.peak);
    assert!(overload.millis("503", "p99") < 50.0, "{}", overload.report);
}

#[test]
#[ignore = "a minute: make faults"]
fn five_hundred_and_twelve_clients_that_wait_for_their_answers_are_never_refused() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let words = ["-c512", "-d15s", "--timeout", "10s"];
    for path in ["/updates?queries=20", "/queries?queries=20", "/db"] {
        let report = load(&server, path, Duration::from_mins(1), &words);
        figure("512 clients", format_args!("{path}: {} answers", number(&report, "/requests")));
        assert_eq!(count(&report, "/non_2xx") + count(&report, "/errors"), 0, "{path}: {report}");
        assert!(count(&report, "/requests") > 512, "{path}: {report}");
    }
}
