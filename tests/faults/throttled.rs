//! More than the processor can do, ten times as much: of requests by an open loop, and of connections with one request each.
//!
//! The service has a part of one core by a control group of the test's own, and the load generator another core, so that it is the service
//! that has too little, and the generator can offer ten times as much. Groups and networks of one's own take root; without it a test says so
//! and ends. A goodput is what was answered with 200 in the time of the run; its peak is what a closed loop finds under the same limit.
//!
//! **Invariant:** only a process that the test started is in the group, and the group goes with the test.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{
    CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_getaffinity, sched_setaffinity,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::figure;
use super::overload::{count, float, number, resident_kib};
use crate::harness::{ServerSetup, TestDatabase, TestServer, get, request_with, unused_port};

/// What the service has of a core: so many microseconds
const QUOTA_US: u32 = 1_000;
/// of each so many.
const PERIOD_US: u32 = 50_000;

/// Connections that ask in the open loop, one request at a time.
const CONNECTIONS: u32 = 256;

/// Connections that the kernel keeps for the service to accept: like its part of a core a small part of the usual 4 096, so that they wait
/// for it about as long as they would for a whole one.
const BACKLOG: u32 = 32;

/// How long a client waits for its connection and its answer, all in all.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most clients at a time: those that go beyond are not there, which is said.
const MOST_CLIENTS: usize = 6_000;

/// What the service may hold more than at its peak, for a thousand connections and more: see docs/reliability.md on what each may take.
const MOST_GROWTH_KIB: f64 = 64.0 * 1024.0;

/// A control group that is given little of the processor.
struct Group {
    folder: PathBuf,
    is_version_1: bool,
}

impl Group {
    /// Makes one, where that can be.
    fn make() -> Result<Self, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut controllers = membership.lines().filter_map(|line| line.split(':').nth(1));
        let of_processor = controllers.find(|names| names.split(',').any(|name| name == "cpu"));
        let mount = Path::new("/sys/fs/cgroup").join(of_processor.unwrap_or_default());
        let (pid, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let folder = mount.join(format!("plimsoll-test-cpu-{pid}-{number}"));
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let group = Self { folder, is_version_1: of_processor.is_some() };
        let file = group.folder.join(if group.is_version_1 { "cpu.cfs_quota_us" } else { "cpu.max" });
        if file.exists() { Ok(group) } else { Err(format!("there is no {}", file.display())) }
    }

    /// Takes the processor away: not before the service has started, which would take seconds.
    fn limit(&self) {
        let settings = if self.is_version_1 {
            vec![("cpu.cfs_period_us", PERIOD_US.to_string()), ("cpu.cfs_quota_us", QUOTA_US.to_string())]
        } else {
            vec![("cpu.max", format!("{QUOTA_US} {PERIOD_US}"))]
        };
        for (name, value) in settings {
            fs::write(self.folder.join(name), value).expect("a limit to be taken");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The service has been killed by now, and leaves the group when the kernel is done with it.
        for _ in 0..200 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

/// The core of the service and that of the generator; one for both where there is no other.
fn cores() -> (String, String) {
    let usable = sched_getaffinity(None).expect("our own cores");
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| usable.is_set(*core));
    let first = cores.next().unwrap_or_default();
    (first.to_string(), cores.next_back().unwrap_or(first).to_string())
}

/// A service with little of the processor.
struct Throttled {
    server: TestServer,
    /// What the generator is started by.
    enter: Vec<String>,
    // Behind the server, which has to leave it first.
    group: Group,
}

impl Throttled {
    /// None where that cannot be made here; `by` is what the service is started by besides.
    fn start(url: &str, by: &[&str]) -> Option<Self> {
        const ENTER: &str = "echo $$ >\"$0/cgroup.procs\" && exec \"$@\"";
        let group = match Group::make() {
            Ok(group) => group,
            Err(why) => {
                println!("skipped, as no control group can be made here: {why}");
                return None;
            }
        };
        let (core, other_core) = cores();
        let folder = group.folder.display().to_string();
        let server = ServerSetup::by("sh", &["-c", ENTER, &folder])
            .args(by)
            .args(&["taskset", "-c", &core, env!("CARGO_BIN_EXE_plimsoll"), "serve", "--port", "0"])
            .args(&["--workers", "1", "--pool-per-core", "4"])
            .env("DATABASE_URL", url)
            .start();
        let enter = ["taskset", "-c", &other_core].map(str::to_owned).into();
        Some(Self { server, enter, group })
    }

    fn limit(&self) {
        self.group.limit();
    }

    /// Clients that come on the other core, and in the service's network.
    fn crowd(&self, rate: f64, time: Duration) -> Crowd {
        let network = File::open(format!("/proc/{}/ns/net", self.server.pid())).expect("its network");
        let come = || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("to enter it");
            let mut core = CpuSet::new();
            core.set(cores().1.parse().expect("a core"));
            sched_setaffinity(None, &core).expect("to go to a core of ours");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("an event loop").block_on(Crowd::come(self.server.address(), rate, time))
        };
        // A thread of its own, since it stays there.
        thread::scope(|scope| scope.spawn(come).join().expect("a crowd"))
    }

    /// `plimsoll load --json` on a path, and what it printed.
    fn load(&self, path: &str, words: &[&str]) -> Value {
        let enter: Vec<_> = self.enter.iter().map(String::as_str).collect();
        let url = format!("http://{}{path}", self.server.address());
        let mut program = ServerSetup::by(enter[0], &enter[1..])
            .args(&[env!("CARGO_BIN_EXE_plimsoll"), "load", "--json", "-t1"])
            .args(words)
            .arg(&url)
            .launch();
        let finished = program.wait(Duration::from_mins(2));
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
    }
}

/// Answers with 200 a second, of those that came within the time of the run.
fn goodput(report: &Value) -> f64 {
    number(report, "/rate_achieved") * number(report, "/statuses/200") / number(report, "/requests").max(1.0)
}

/// Offers ten times as many requests as the service can answer, and says which share of its peak it answered.
fn overload(time: &str) -> Option<f64> {
    let database = TestDatabase::create();
    let service = Throttled::start(&database.url(), &[])?;
    assert_eq!(get(&service.server, "/db").status, 200);
    service.limit();
    let connections = format!("-c{CONNECTIONS}");
    // By as many connections and for as long as the overload: a shorter look by fewer found less than there is.
    let closed = service.load("/db", &[&connections, "--warm-up", "300ms", "-d", time, "--timeout", "20s"]);
    let (peak, before) = (goodput(&closed), resident_kib(&service.server));
    assert_eq!(count(&closed, "/non_2xx") + count(&closed, "/errors"), 0, "{closed}");
    let rate = format!("{:.0}", peak * 10.0);
    let report = service.load("/db", &[&connections, "--rate", &rate, "-d", time, "--timeout", "20s"]);
    let (share, grown) = (goodput(&report) / peak, resident_kib(&service.server) - before);
    let turn = f64::from(CONNECTIONS) / peak;
    figure(
        "more requests than the processor can do",
        format_args!(
            "{time}: offered {rate} a second by {CONNECTIONS} connections, goodput {:.0} % of {peak:.0}, refused {:.0}, waits of those sent p50 \
             {:.0} ms and p99 {:.0} ms where a turn of all takes {:.0} ms, {:.1} MiB more than at the peak",
            share * 100.0,
            number(&report, "/statuses/503"),
            number(&report, "/latency_us/raw/p50") / 1e3,
            number(&report, "/latency_us/raw/p99") / 1e3,
            turn * 1e3,
            grown / 1024.0,
        ),
    );
    assert_eq!(count(&report, "/errors"), 0, "{report}");
    assert!(grown < MOST_GROWTH_KIB, "{grown} KiB more than at the peak");
    let after = service.load("/db", &["-c8", "-n50"]);
    assert_eq!(count(&after, "/statuses/200"), 50, "{after}");
    Some(share)
}

/// Offers ten times as many connections as the service can accept and answer, and says which share of its peak it answered.
fn flood(time: Duration) -> Option<f64> {
    let network = format!("ip link set lo up && echo {BACKLOG} >/proc/sys/net/core/somaxconn && exec \"$@\"");
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    if !can_make_a_network(&network) {
        println!(
            "skipped: no network of its own can be made here, which takes root, util-linux and iproute2"
        );
        return None;
    }
    let mut service = Throttled::start(&url, &["unshare", "--net", "sh", "-c", &network, "sh"])?;
    let pid = service.server.pid().to_string();
    service.enter.splice(0..0, ["nsenter", "--target", &pid, "--net"].map(str::to_owned));
    service.limit();
    let once = ["-H", "Connection: close"];
    let closed = service.load("/plaintext", &[&once[..], &["-c64", "--warm-up", "300ms", "-d1s"]].concat());
    let (peak, before) = (goodput(&closed), resident_kib(&service.server));
    assert_eq!(count(&closed, "/non_2xx") + count(&closed, "/errors"), 0, "{closed}");
    let crowd = service.crowd(peak * 10.0, time);
    let (share, grown) = (crowd.goodput / peak, resident_kib(&service.server) - before);
    figure(
        "more connections than can be accepted",
        format_args!(
            "{time:?}: {} clients, {:.1} times the {peak:.0} a second at the peak, each for {PATIENCE:?}: goodput {:.0} %, answered with p50 \
             {:.0?} and p99 {:.0?}, {:.1} MiB more than at the peak",
            crowd.clients,
            crowd.rate / peak,
            share * 100.0,
            crowd.quantile(0.5),
            crowd.quantile(0.99),
            grown / 1024.0,
        ),
    );
    assert!(crowd.rate > 5.0 * peak, "it is no flood: {} a second, and {peak} at the peak", crowd.rate);
    assert!(grown < MOST_GROWTH_KIB, "{grown} KiB more than at the peak");
    let after = service.load("/plaintext", &[&once[..], &["-c8", "-n50", "--timeout", "10s"]].concat());
    assert_eq!(count(&after, "/statuses/200"), 50, "{after}");
    Some(share)
}

/// What became of many clients with a connection and a request each.
struct Crowd {
    clients: usize,
    /// Clients a second.
    rate: f64,
    /// Answers with 200 a second.
    goodput: f64,
    /// From the beginning of a connection to the end of its answer.
    latencies: Vec<Duration>,
}

impl Crowd {
    fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
        let place = (float(sorted.len()) * part) as usize;
        sorted.get(place).copied().unwrap_or_default()
    }

    /// Lets so many clients a second come, evenly, whatever becomes of those before them.
    async fn come(address: SocketAddr, rate: f64, time: Duration) -> Self {
        let (mut clients, mut latencies, mut here) = (0, Vec::new(), JoinSet::new());
        let (start, mut beat) = (Instant::now(), tokio::time::interval(Duration::from_millis(1)));
        while start.elapsed() < time {
            beat.tick().await;
            while float(clients) < start.elapsed().as_secs_f64() * rate && here.len() < MOST_CLIENTS {
                here.spawn(ask_once(address));
                clients += 1;
            }
            while let Some(left) = here.try_join_next() {
                latencies.extend(left.expect("a client"));
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let (rate, goodput) = (float(clients) / seconds, float(latencies.len()) / seconds);
        Self { clients, rate, goodput, latencies }
    }
}

/// One client; how long its answer took, if it came in time.
async fn ask_once(address: SocketAddr) -> Option<Duration> {
    let start = Instant::now();
    let ask = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let mut answer = Vec::new();
        stream.write_all(&request_with("GET", "/plaintext", &["Connection: close"])).await.ok()?;
        stream.read_to_end(&mut answer).await.ok()?;
        answer.starts_with(b"HTTP/1.1 200 ").then(|| start.elapsed())
    };
    tokio::time::timeout(PATIENCE, ask).await.ok()?
}

fn can_make_a_network(script: &str) -> bool {
    let tried =
        std::process::Command::new("unshare").args(["--net", "sh", "-c", script, "sh", "true"]).output();
    tried.is_ok_and(|tried| tried.status.success())
}

/// Other tests have the cores too, while this one runs with them.
const BESIDE_OTHERS: f64 = 0.5;

#[test]
fn ten_times_what_the_processor_can_do_is_answered_as_fast_as_it_can_be() {
    let share = overload("3s");
    assert!(share.is_none_or(|share| share > BESIDE_OTHERS), "{share:?}");
}

#[test]
#[ignore = "half a minute: make faults"]
fn ten_times_what_the_processor_can_do_for_long_leaves_goodput_and_memory_as_they_are() {
    let share = overload("20s");
    assert!(share.is_none_or(|share| share >= 0.9), "{share:?}");
}

#[test]
fn ten_times_the_connections_that_can_be_accepted_are_answered_as_fast_as_they_can_be() {
    let share = flood(Duration::from_secs(2));
    assert!(share.is_none_or(|share| share > BESIDE_OTHERS), "{share:?}");
}

#[test]
#[ignore = "half a minute: make faults"]
fn ten_times_the_connections_that_can_be_accepted_for_long_leave_goodput_and_memory_as_they_are() {
    let share = flood(Duration::from_secs(20));
    assert!(share.is_none_or(|share| share >= 0.9), "{share:?}");
}
