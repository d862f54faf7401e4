//! Signals as the service hears them.
//!
//! **Invariant:** from the moment this is made no stop signal ends the process behind our back.

use std::io;
use std::thread;

use rustix::process::{self, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::server::Stop;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// SIGTERM, SIGINT, SIGQUIT.
    Stop(Stop),
    /// SIGHUP.
    Reload,
}

/// Sends this process SIGQUIT when its standard input ends, on a thread that ends with the process.
pub(super) fn quit_with_input() -> io::Result<()> {
    let watching = thread::Builder::new().name("input".into()).spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = kill_process(process::getpid(), process::Signal::QUIT);
    });
    watching.map(drop)
}

/// The signals that `serve` knows.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
    heard: bool,
}

impl Signals {
    pub(super) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            heard: false,
        })
    }

    /// Waits for the next signal. The first that asks for a stop asks for a gentle one, every one after it, and SIGQUIT, for one
    /// at once.
    pub(super) async fn next(&mut self) -> Heard {
        let stop = tokio::select! {
            _ = self.terminate.recv() => Stop::Drain,
            _ = self.interrupt.recv() => Stop::Drain,
            _ = self.quit.recv() => Stop::Now,
            _ = self.hang_up.recv() => return Heard::Reload,
        };
        Heard::Stop(if std::mem::replace(&mut self.heard, true) { Stop::Now } else { stop })
    }

    /// Waits for the next signal that asks for a stop, at a time when nothing can be reloaded.
    pub(super) async fn next_stop(&mut self) -> Stop {
        loop {
            match self.next().await {
                Heard::Stop(stop) => return stop,
                Heard::Reload => tracing::info!("SIGHUP: there is nothing to reload just now"),
            }
        }
    }
}
