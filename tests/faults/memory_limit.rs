//! The control group's memory limit, with clients that make the service hold what they don't finish or don't take.
//!
//! The group is a real one of the test's own, of version 1 or 2, which takes root; without it the test says so and ends.
//!
//! **Invariant:** only a process that the test started is in the group, and the group goes with the test.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plimsoll::config::admin::Place;
use plimsoll::telemetry::ask::{Answer, ask};

use super::figure;
use crate::harness::{PATIENCE, ServerSetup, TestDatabase, TestServer, get, request, wait_until};

/// What is left to the service beyond what it needs at rest.
const ROOM: u64 = 40 << 20;
/// Clients that send a part of a head, and hold their peace.
const SILENT: usize = 2_400;
/// Clients that ask and read nothing.
const DEAF: usize = 40;
/// What they ask for, many times.
const ASKED: usize = 200;

/// A control group.
struct Group {
    folder: PathBuf,
    is_version_1: bool,
}

impl Group {
    /// Makes one, where that can be.
    fn make() -> Result<Self, String> {
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let of_memory = membership.lines().find_map(|line| line.split_once(":memory:").map(|(_, path)| path));
        let mount = if of_memory.is_some() { "/sys/fs/cgroup/memory" } else { "/sys/fs/cgroup" };
        let folder = Path::new(mount).join(format!("plimsoll-test-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let group = Self { folder, is_version_1: of_memory.is_some() };
        if group.try_number(group.usage_name()).is_none() {
            return Err(format!("{} has no memory controller", group.folder.display()));
        }
        Ok(group)
    }

    fn usage_name(&self) -> &'static str {
        if self.is_version_1 { "memory.usage_in_bytes" } else { "memory.current" }
    }

    fn try_number(&self, name: &str) -> Option<u64> {
        fs::read_to_string(self.folder.join(name)).ok()?.trim().parse().ok()
    }

    fn limit(&self, bytes: u64) {
        let name = if self.is_version_1 { "memory.limit_in_bytes" } else { "memory.max" };
        fs::write(self.folder.join(name), bytes.to_string()).expect("a limit to be taken");
    }

    /// A line of one of its files that hold a name and a number each.
    fn entry(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok()).unwrap_or_default()
    }

    /// What its processes hold, and the kernel for them.
    fn used(&self) -> u64 {
        let entries =
            if self.is_version_1 { ["total_rss", "total_shmem", "-"] } else { ["anon", "shmem", "kernel"] };
        let held: u64 = entries.map(|name| self.entry("memory.stat", name)).iter().sum();
        held + self.try_number("memory.kmem.usage_in_bytes").unwrap_or_default()
    }

    /// Processes that were killed for want of memory.
    fn killed(&self) -> u64 {
        let file = if self.is_version_1 { "memory.oom_control" } else { "memory.events" };
        self.entry(file, "oom_kill")
    }

    /// A service in it.
    fn serve(&self, database: &TestDatabase) -> TestServer {
        let enter = "echo $$ >\"$0/cgroup.procs\" && exec \"$@\"";
        let folder = self.folder.display().to_string();
        let program = env!("CARGO_BIN_EXE_plimsoll");
        ServerSetup::by("sh", &["-c", enter, &folder, program, "serve", "--port", "0", "--workers", "2"])
            .env("DATABASE_URL", database.url())
            .start()
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

fn admin(server: &TestServer, path: &str) -> Answer {
    ask(&Place::Socket(server.admin_socket()), "GET", path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Connects, sends, and reads nothing; whatever becomes of it.
fn send_and_hold(server: &TestServer, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&server.address(), PATIENCE).ok()?;
    stream.set_write_timeout(Some(Duration::from_millis(100))).ok()?;
    let _ = stream.write_all(bytes);
    Some(stream)
}

/// Whether it was told that memory is short; does not wait.
fn was_refused(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 1024];
    stream.set_nonblocking(true).expect("a read without waiting");
    let read = stream.read(&mut answer).unwrap_or(0);
    let answer = String::from_utf8_lossy(&answer[..read]);
    answer.starts_with("HTTP/1.1 503 ") && answer.contains("no memory")
}

#[test]
fn a_service_near_its_memory_limit_sheds_load_and_lives() {
    let group = match Group::make() {
        Ok(group) => group,
        Err(why) => return eprintln!("skipped, as no control group can be made here: {why}"),
    };
    // Of some size at first, so that the service looks often.
    group.limit(1 << 30);
    let database = TestDatabase::create();
    let server = group.serve(&database);
    let mut other = server.connect();
    assert_eq!(other.get("/cached-queries?count=500").status, 200);
    let limit = group.used() + ROOM;
    group.limit(limit);

    let half_head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(16_000));
    let questions = request("GET", "/cached-queries?count=500").repeat(ASKED);
    let mut held = Vec::new();
    let mut most_used = 0;
    for number in 0..SILENT {
        held.extend(send_and_hold(&server, half_head.as_bytes()));
        if number % (SILENT / DEAF) == 0 {
            held.extend(send_and_hold(&server, questions.as_ref()));
            assert_eq!(other.get("/json").status, 200, "with {number} held:\n{}", server.stderr());
            most_used = group.used().max(most_used);
        }
    }
    server.wait_for_line("shortage", |line| line.contains("memory is short").then_some(()));
    let refused = held.iter_mut().filter_map(|stream| was_refused(stream).then_some(())).count();
    assert_eq!(group.killed(), 0, "{}", server.stderr());
    assert_eq!(other.get("/json").status, 200);

    drop(held);
    let left = Instant::now();
    wait_until("new connections to be served", PATIENCE, || {
        let is_ready = admin(&server, "/readyz").status == 200;
        (is_ready && get(&server, "/db").status == 200).then_some(())
    });
    let back = left.elapsed();
    let metrics = admin(&server, "/metrics").text();
    let closed = r#"plimsoll_connections_closed_total{reason="memory"} "#;
    let closed: u64 = metrics
        .lines()
        .find_map(|line| line.strip_prefix(closed))
        .and_then(|count| count.parse().ok())
        .expect("a count");
    assert!(closed > 0 && refused > 0, "{closed} closed, {refused} told why");
    assert!(metrics.contains(&format!("plimsoll_memory_limit_bytes {}\n", limit / 4096 * 4096)), "{metrics}");
    figure(
        "memory limit",
        format_args!(
            "{} MiB above its rest, {SILENT} half heads of 16 KB and {DEAF} deaf clients: at most {:.1} % used, {closed} \
             connections refused or closed, none killed, served again {:.1} s after they left",
            ROOM >> 20,
            100.0 * as_float(most_used) / as_float(limit),
            back.as_secs_f64(),
        ),
    );
}

#[expect(clippy::cast_precision_loss, reason = "bytes of some mebibytes")]
fn as_float(bytes: u64) -> f64 {
    bytes as f64
}
