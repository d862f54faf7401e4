//! Ctrl-C and SIGTERM end early what goes on: a run, whose figures so far are printed, or a view.
//!
//! **Invariant:** after the first signal the command ends within a tick, so that no second one is needed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

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
            let signals = signal(SignalKind::interrupt())
                .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
            match signals {
                Err(error) => drop(installed.send(Err(error))),
                Ok((mut interrupt, mut terminate)) => {
                    let _ = installed.send(Ok(()));
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    then();
                }
            }
        });
    })?;
    wait.recv().map_err(io::Error::other)?
}
