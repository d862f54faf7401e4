//! Ctrl-C and SIGTERM end a run early, and what was measured is printed.
//!
//! **Invariant:** after the first signal the run ends within a tick, so that no second one is needed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

/// Sets `stop` when a signal asks for an end. The thread that listens ends with the process.
pub(super) fn set_on_signal(stop: &Arc<AtomicBool>) -> io::Result<()> {
    let stop = Arc::clone(stop);
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
                    stop.store(true, Ordering::Relaxed);
                }
            }
        });
    })?;
    wait.recv().map_err(io::Error::other)?
}
