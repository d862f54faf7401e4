//! A server of ours for one visit: `plimsoll serve` on a port of the kernel's choice, with an admin side of its own.
//!
//! **Invariant:** its environment holds the database's address and nothing else of ours, so that no setting of a person's gets into a
//! measurement.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::child::{self, Running};
use crate::config::admin::Place;
use crate::sweep::schedule::Failure;
use crate::telemetry::ask;
use crate::telemetry::snapshot::Totals;
use crate::telemetry::status::Status;

/// How long a server may take to serve.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to end at once, before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Lines of its log that are kept for an error.
const MOST_LINES: usize = 12;
/// Lines that nobody has read yet; past that they are dropped.
const MOST_UNREAD: usize = 1024;
/// Between two looks at whether it is ready.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// Variables that a program needs to find its files; no setting is among them.
const KEPT: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"];

/// A server that serves, and ends at once, with all its processes, when its handle is gone.
pub(super) struct Server {
    running: Running,
    address: SocketAddr,
    admin: Option<Place>,
}

impl Server {
    /// Starts one with these flags in front of the database at this address, and waits until all its processes serve.
    pub(super) fn start(
        program: &Path,
        flags: &[String],
        database: &str,
        processes: u32,
        stop: &AtomicBool,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.arg("serve").args(["--host", "127.0.0.1", "--port", "0"]).args(flags);
        command.env_clear();
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
            .env("DATABASE_URL", database)
            .env("PLIMSOLL_ADMIN", "127.0.0.1:0")
            .env("PLIMSOLL_ADMIN_SOCKET", "off");
        // Its input is never written to; it closes when the sweep is killed, and the server ends by that.
        command.arg("--end-with-input");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut running = Running::start_family(&mut command, STOP_PATIENCE)?;
        let lines = follow(&mut running);
        let banner = read_banner(&lines, stop)?;
        let failed =
            |why: &str| Failure::Failed(format!("`serve {}` {why}:\n{}", flags.join(" "), banner.said()));
        let address =
            banner.address.filter(|_| banner.is_whole).ok_or_else(|| failed("did not come to serve"))?;
        let server = Self {
            running,
            address,
            admin: banner.admin.map(|address| Place::Tcp { address, of_port: None }),
        };
        server.wait_until_ready(processes, stop, &failed)?;
        Ok(server)
    }

    /// Where it serves.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its first process, which started the others.
    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// What it has counted; none where it has no admin side.
    pub(super) fn totals(&self) -> Result<Option<Totals>, Failure> {
        Ok(self.status()?.map(|status| status.totals))
    }

    fn status(&self) -> Result<Option<Status>, Failure> {
        let Some(place) = &self.admin else { return Ok(None) };
        let answer =
            ask::ask(place, "GET", "/status.json").map_err(|error| Failure::Failed(error.to_string()))?;
        let status = serde_json::from_slice(&answer.body);
        status
            .map(Some)
            .map_err(|error| Failure::Failed(format!("{place}/status.json cannot be read: {error}")))
    }

    fn wait_until_ready(
        &self,
        processes: u32,
        stop: &AtomicBool,
        failed: &dyn Fn(&str) -> Failure,
    ) -> Result<(), Failure> {
        let started = Instant::now();
        while let Some(status) = self.status()? {
            if status.ready && status.processes.len() == processes as usize {
                break;
            }
            if started.elapsed() >= START_PATIENCE {
                return Err(failed(&format!("is not ready ({})", status.not_ready.join("; "))));
            }
            child::unless_stopped(stop)?;
            thread::park_timeout(BETWEEN_LOOKS);
        }
        Ok(())
    }
}

/// What a server says as it starts.
#[derive(Default)]
struct Banner {
    address: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    /// Whether its last line came.
    is_whole: bool,
    said: VecDeque<String>,
}

impl Banner {
    fn take(&mut self, line: String) {
        let mut words = line.split_whitespace();
        let address = |word: Option<&str>| word?.strip_prefix("http://")?.parse().ok();
        match words.next() {
            Some("listening") => self.address = address(words.next()),
            Some("admin") => {
                self.admin = words.find_map(|word| address(Some(word.trim_end_matches([',', '/']))));
            }
            Some("database") => self.is_whole = true,
            _ => {}
        }
        if self.said.len() == MOST_LINES {
            self.said.pop_front();
        }
        self.said.push_back(line);
    }

    fn said(&self) -> String {
        self.said.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Its lines as they come, to the end of its life.
fn follow(running: &mut Running) -> Receiver<String> {
    let (send, lines) = mpsc::sync_channel(MOST_UNREAD);
    if let Some(stderr) = running.child().stderr.take() {
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Once it serves nobody listens any more, and what it says is read so that it does not stand still.
                let _ = send.try_send(line);
            }
        });
    }
    lines
}

/// Waits for the whole banner, or for the end of it.
fn read_banner(lines: &Receiver<String>, stop: &AtomicBool) -> Result<Banner, Failure> {
    let (mut banner, started) = (Banner::default(), Instant::now());
    while !banner.is_whole && started.elapsed() < START_PATIENCE {
        match lines.recv_timeout(BETWEEN_LOOKS) {
            Ok(line) => banner.take(line),
            Err(RecvTimeoutError::Timeout) => child::unless_stopped(stop)?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(banner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banner_names_the_addresses_and_ends_with_the_database() {
        let mut banner = Banner::default();
        for line in [
            "plimsoll 0.1.0, pid 12",
            "  listening  http://127.0.0.1:41235",
            "  admin      http://127.0.0.1:41236/, no socket",
            "  workers    2 (2 cores)",
        ] {
            banner.take(line.to_owned());
        }
        assert_eq!(banner.address, Some("127.0.0.1:41235".parse().unwrap()));
        assert_eq!(banner.admin, Some("127.0.0.1:41236".parse().unwrap()));
        assert!(!banner.is_whole);
        banner.take("  database   PostgreSQL 15.18 private, in /tmp/x".into());
        assert!(banner.is_whole && banner.said().ends_with("/tmp/x"));
    }
}
