//! The process that makes PostgreSQL far away: `plimsoll delay-part`.
//!
//! **Invariant:** it ends when its standard input closes, so that none outlives the sweep, however that ends.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::child::Running;
use crate::sweep::schedule::Failure;

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
        let mut line = String::new();
        if let Some(stdout) = running.child().stdout.take() {
            // It says where it listens, or ends.
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
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
