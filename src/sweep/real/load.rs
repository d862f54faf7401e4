//! The load: `plimsoll load --json` as a process of its own, so that what it costs is not the server's.
//!
//! **Invariant:** a load in which not one request was answered is a reading of zero, and one that did not run is a failure.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Deserialize;

use super::child::{self, Running};
use crate::sweep::grid::Point;
use crate::sweep::schedule::Failure;

/// What a load may take beyond its time: it waits for what is outstanding.
const MARGIN: Duration = Duration::from_secs(30);

/// What to load, and how.
pub(super) struct Job<'a> {
    pub(super) program: &'a Path,
    pub(super) url: &'a str,
    pub(super) point: &'a Point,
    pub(super) threads: u16,
    pub(super) stop: &'a AtomicBool,
}

/// What `load --json` says, as far as it counts here.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) requests: u64,
    pub(super) rate_achieved: f64,
    pub(super) errors: u64,
    pub(super) non_2xx: u64,
    pub(super) latency_us: Latencies,
    pub(super) client_cpu_us_per_request: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Latencies {
    pub(super) raw: Option<Quantiles>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Quantiles {
    pub(super) p50: u64,
    pub(super) p99: u64,
}

impl Job<'_> {
    /// Loads for so long; `look` is called again and again meanwhile.
    pub(super) fn run(&self, duration: Duration, look: &mut dyn FnMut()) -> Result<Answer, Failure> {
        let connections = self.point.connections();
        let mut command = Command::new(self.program);
        command.args(["load", "--json", self.url]);
        command.arg("--connections").arg(connections.to_string());
        command.arg("--threads").arg(self.threads.to_string());
        command.arg("--pipeline").arg(self.point.workload.pipeline.to_string());
        command.arg("--duration").arg(format!("{}ms", duration.as_millis().max(1)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(&mut command)?;
        let stdout = running.child().stdout.take().map(child::gather);
        let stderr = running.child().stderr.take().map(child::gather);
        let ended = running.wait(duration + MARGIN, &mut || {
            look();
            child::unless_stopped(self.stop)
        })?;
        if ended.is_none() {
            return Err(Failure::Failed(format!("the load of {} did not end in time", self.url)));
        }
        let text = |gathered: Option<std::thread::JoinHandle<String>>| {
            gathered.and_then(|gathered| gathered.join().ok()).unwrap_or_default()
        };
        serde_json::from_str(&text(stdout)).map_err(|_| {
            let said = text(stderr);
            let said = said.trim();
            Failure::Failed(said.strip_prefix("error: ").unwrap_or(said).to_owned())
        })
    }
}
