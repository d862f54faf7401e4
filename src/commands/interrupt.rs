//! Ctrl-C, SIGTERM, SIGQUIT and a terminal that goes away (SIGHUP) end early what goes on: a run, whose figures so far are printed, or a
//! view. Under nohup(1), which ignores SIGHUP, it stays ignored.
//!
//! **Invariant:** after the first signal the command ends within a tick, so that no second one is needed.

use std::fs;
use std::future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Sets `stop` when a signal asks for an end. The thread that listens ends with the process.
pub(super) fn set_on_signal(stop: &Arc<AtomicBool>) -> io::Result<()> {
    let stop = Arc::clone(stop);
    on_signal(move || stop.store(true, Ordering::Relaxed))
}

/// Hears the signal that asks for an end.
pub(super) struct Interrupt(Receiver<()>);

impl Interrupt {
    /// Listens from here on. The thread that does ends with the process.
    pub(super) fn listen() -> io::Result<Self> {
        let (tell, told) = sync_channel(1);
        on_signal(move || {
            let _ = tell.send(());
        })?;
        Ok(Self(told))
    }

    /// Waits so long; whether an end was asked for, now or before.
    pub(super) fn within(&self, wait: Duration) -> bool {
        match self.0.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => false,
            // The listener's end is gone once it has spoken.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
        }
    }
}

/// Calls `then` once, on a thread of its own, when a signal asks for an end.
fn on_signal(then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (installed, wait) = sync_channel(1);
    thread::Builder::new().name("signals".into()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(installed.send(Err(error))),
        };
        runtime.block_on(async move {
            match Ends::install() {
                Err(error) => drop(installed.send(Err(error))),
                Ok(mut ends) => {
                    let _ = installed.send(Ok(()));
                    ends.next().await;
                    then();
                }
            }
        });
    })?;
    wait.recv().map_err(io::Error::other)?
}

/// The signals that ask for an end.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    /// None where whoever started us had it ignored.
    hang_up: Option<Signal>,
}

impl Ends {
    fn install() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hang_up = SignalKind::hangup();
        let is_ignored = ignores(&status, hang_up.as_raw_value());
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hang_up: if is_ignored { None } else { Some(signal(hang_up)?) },
        })
    }

    async fn next(&mut self) {
        let hung_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.quit.recv() => {}
            _ = hung_up => {}
        }
    }
}

/// Whether the process of this status ignores a signal: `SigIgn` of proc(5), a bit for each signal from 1 on.
fn ignores(status: &str, signal: i32) -> bool {
    let mask =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let bit = u32::try_from(signal - 1).ok().and_then(|shift| 1_u64.checked_shl(shift));
    mask.zip(bit).is_some_and(|(mask, bit)| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_ignored_is_known_by_its_bit() {
        let status = "Name:\tplimsoll\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, 1) && ignores(status, 13));
        assert!(!ignores(status, 2) && !ignores("", 1) && !ignores(status, 0));
    }
}
