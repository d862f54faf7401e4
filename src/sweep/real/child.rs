//! A process of this program that a sweep starts: in a process group of its own, and dead when its handle is gone.
//!
//! Ctrl-C on a terminal reaches a whole process group; ours hears it alone, and ends the others in order.
//!
//! **Invariant:** every wait for a child looks at `stop` and has a limit.

use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::sweep::schedule::Failure;

/// Between two looks at a child.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// What is kept of a child's output.
const MOST_OUTPUT: u64 = 1 << 20;

/// A running child.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    /// How long it may take to end by SIGQUIT before it is killed; none for one that is killed at once.
    gentle: Option<Duration>,
}

impl Running {
    /// Starts one that has no children of its own, and is killed when its handle is gone.
    pub(super) fn start(command: &mut Command) -> Result<Self, Failure> {
        let child = command.process_group(0).spawn();
        child
            .map(|child| Self { child, gentle: None })
            .map_err(|error| Failure::Failed(format!("this program cannot be started once more: {error}")))
    }

    /// Starts one that may have children of its own, which only it can end at once: it is asked by SIGQUIT first, and has so long.
    pub(super) fn start_family(command: &mut Command, patience: Duration) -> Result<Self, Failure> {
        let mut running = Self::start(command)?;
        running.gentle = Some(patience);
        Ok(running)
    }

    /// The child itself, for its pipes.
    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it by a signal, unless it has ended and its number may be another's.
    fn signal(&mut self, signal: Signal) {
        let runs = matches!(self.child.try_wait(), Ok(None));
        if runs && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for its end, looking in between; none where it takes longer than this.
    pub(super) fn wait(
        &mut self,
        limit: Duration,
        look: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Option<ExitStatus>, Failure> {
        let started = Instant::now();
        loop {
            let ended = self.child.try_wait();
            match ended
                .map_err(|error| Failure::Failed(format!("a child of ours cannot be waited for: {error}")))?
            {
                Some(status) => return Ok(Some(status)),
                None if started.elapsed() >= limit => return Ok(None),
                None => look()?,
            }
            thread::park_timeout(BETWEEN_LOOKS);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(patience) = self.gentle {
            self.signal(Signal::QUIT);
            let _ = self.wait(patience, &mut || Ok(()));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says that somebody asked for an end.
pub(super) fn unless_stopped(stop: &AtomicBool) -> Result<(), Failure> {
    if stop.load(Ordering::Relaxed) { Err(Failure::Stopped) } else { Ok(()) }
}

/// Reads an output to its end beside everything else, so that its writer never stands still.
pub(super) fn gather(output: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut output = output;
        let mut bytes = Vec::new();
        // What is beyond the limit is read and forgotten.
        let _ = output.by_ref().take(MOST_OUTPUT).read_to_end(&mut bytes);
        let _ = io::copy(&mut output, &mut io::sink());
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
