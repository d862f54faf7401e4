//! Signals as the service hears them.
//!
//! **Invariant:** from the moment this is made no stop signal ends the process behind our back.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::server::Stop;

/// The signals that `serve` knows.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
    heard: bool,
}

impl Signals {
    pub(super) fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            heard: false,
        })
    }

    /// Waits for the next signal that asks for a stop, and says how: gently the first time, at once from the second on and
    /// for SIGQUIT.
    pub(super) async fn next_stop(&mut self) -> Stop {
        loop {
            let stop = tokio::select! {
                _ = self.terminate.recv() => Stop::Drain,
                _ = self.interrupt.recv() => Stop::Drain,
                _ = self.quit.recv() => Stop::Now,
                _ = self.hang_up.recv() => {
                    tracing::info!("SIGHUP: settings are read at the start only; nothing changed");
                    continue;
                }
            };
            return if std::mem::replace(&mut self.heard, true) { Stop::Now } else { stop };
        }
    }
}
