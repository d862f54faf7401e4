//! The process that makes PostgreSQL far away: `plimsoll delay-part`.
//!
//! **Invariant:** it ends when its standard input closes, so that none outlives the sweep, however that ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::child::Running;
use crate::sweep::schedule::Failure;

/// The most characters of the line in which it says where it listens.
const LONGEST_LINE: u64 = 256;
/// How long it may take to say so.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running one.
pub(super) struct Wire {
    running: Running,
    address: SocketAddr,
}

impl Wire {
    /// Starts one in front of this address, with so much delay each way.
    pub(super) fn start(program: &Path, to: SocketAddr, one_way: Duration) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.arg("delay-part").arg("--to").arg(to.to_string());
        command.arg("--one-way").arg(format!("{}ns", one_way.as_nanos()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(&mut command)?;
        let (tell, told) = mpsc::sync_channel(1);
        if let Some(stdout) = running.child().stdout.take() {
            // The thread ends with the line, or with the process.
            thread::spawn(move || {
                let mut line = String::new();
                let _ = BufReader::new(stdout.take(LONGEST_LINE)).read_line(&mut line);
                let _ = tell.send(line);
            });
        }
        let line = told.recv_timeout(PATIENCE).unwrap_or_default();
        let address = line.trim().parse();
        let address = address.map_err(|_| Failure::Failed("the process that delays did not start".into()))?;
        Ok(Self { running, address })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }
}
