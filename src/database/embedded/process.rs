//! One process that is not our child: held, waited for, signalled.
//!
//! **Invariant:** a signal never reaches another process that was given the same number later. On Linux a pidfd sees
//! to that; where there is none (another system, a kernel before 5.3) the number is all there is, and waiting is
//! looking again.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal};

/// How often a process without a pidfd is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A process, by its number and, where the system has them, by a descriptor that stays its own.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    handle: Option<OwnedFd>,
}

impl Process {
    /// Takes hold of the process with this number; `None` when there is none.
    pub(super) fn open(number: i32) -> Option<Self> {
        let pid = Some(number).filter(|number| *number > 0).and_then(Pid::from_raw)?;
        let process = Self { pid, handle: open_handle(pid) };
        (!process.is_gone()).then_some(process)
    }

    pub(super) fn number(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    pub(super) fn is_gone(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Sends a signal; a process that is gone already is none the worse for it.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let sent = match &self.handle {
            Some(handle) => send(handle, signal),
            None => rustix::process::kill_process(self.pid, signal),
        };
        match sent {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits until the process has ended, at most so long; says whether it has.
    pub(super) fn wait(&self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let gone = match &self.handle {
                Some(handle) => poll_once(handle, left),
                None => !answers(self.pid),
            };
            if gone || left.is_zero() {
                return gone;
            }
            if self.handle.is_none() {
                thread::park_timeout(LOOK_EVERY.min(left));
            }
        }
    }

    /// Resolves when the process has ended. Needs a tokio runtime with I/O and time.
    pub(super) async fn gone(&self) {
        #[cfg(target_os = "linux")]
        if let Some(watched) = self.handle.as_ref().and_then(watch)
            && watched.readable().await.is_ok()
            && self.is_gone()
        {
            return;
        }
        while !self.is_gone() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(target_os = "linux")]
fn open_handle(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(target_os = "linux")]
#[expect(
    deprecated,
    reason = "the constructor in its place is unsafe, for types that are not I/O safe; this one is"
)]
fn watch(handle: &OwnedFd) -> Option<tokio::io::unix::AsyncFd<OwnedFd>> {
    tokio::io::unix::AsyncFd::with_interest(handle.try_clone().ok()?, tokio::io::Interest::READABLE).ok()
}

#[cfg(not(target_os = "linux"))]
fn open_handle(_: Pid) -> Option<OwnedFd> {
    None
}

#[cfg(target_os = "linux")]
fn send(handle: &OwnedFd, signal: Signal) -> rustix::io::Result<()> {
    rustix::process::pidfd_send_signal(handle, signal)
}

#[cfg(not(target_os = "linux"))]
fn send(_: &OwnedFd, _: Signal) -> rustix::io::Result<()> {
    Err(rustix::io::Errno::NOSYS)
}

/// A pidfd is readable once its process has ended. An interruption counts as "not yet": the caller asks again.
fn poll_once(handle: &OwnedFd, at_most: Duration) -> bool {
    let timeout = Timespec::try_from(at_most).ok();
    let mut descriptors = [PollFd::new(handle, PollFlags::IN)];
    matches!(poll(&mut descriptors, timeout.as_ref()), Ok(ready) if ready > 0)
}

/// Whether there is a live process with this number. One of another user counts, a dead one that nobody reaped does
/// not (in a container the first process may be one that reaps nothing).
fn answers(pid: Pid) -> bool {
    if matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)) {
        return false;
    }
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())) else { return true };
    // The name in parentheses may hold anything, so the state is what follows the last of them.
    !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn sleeper() -> (Child, Process) {
        let child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let process = Process::open(i32::try_from(child.id()).unwrap()).unwrap();
        (child, process)
    }

    #[test]
    fn an_ended_process_is_gone_before_anybody_reaps_it() {
        let (mut child, process) = sleeper();
        assert!(!process.is_gone());
        process.signal(Signal::KILL).unwrap();
        assert!(process.wait(Duration::from_secs(10)));
        assert!(Process::open(process.number()).is_none());
        child.wait().unwrap();
        process.signal(Signal::KILL).unwrap();
    }

    #[test]
    fn without_a_pidfd_the_number_serves() {
        let (mut child, mut process) = sleeper();
        process.handle = None;
        assert!(!process.wait(Duration::from_millis(30)));
        process.signal(Signal::KILL).unwrap();
        assert!(process.wait(Duration::from_secs(10)));
        child.wait().unwrap();
    }

    #[test]
    fn no_process_has_a_number_below_one() {
        assert!(Process::open(0).is_none());
        assert!(Process::open(-1).is_none());
    }

    #[tokio::test]
    async fn an_end_can_be_awaited() {
        let (mut child, process) = sleeper();
        process.signal(Signal::KILL).unwrap();
        tokio::time::timeout(Duration::from_secs(10), process.gone()).await.unwrap();
        child.wait().unwrap();
    }
}
