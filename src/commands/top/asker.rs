//! Asks the service again and again, apart from the thread that draws, which hears keys meanwhile.
//!
//! **Invariant:** at most one answer waits to be looked at; the next question waits until it was.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::commands::service::{Service, Trouble};
use crate::telemetry::status::Status;

/// What an answer came to.
pub(super) type Answer = Result<Status, Trouble>;

/// The thread that asks; it ends when this is gone, or with the process.
pub(super) struct Asker(Receiver<Answer>);

impl Asker {
    /// Begins to ask.
    pub(super) fn start(service: Service, every: Duration) -> io::Result<Self> {
        let (tell, told) = sync_channel(1);
        thread::Builder::new().name("asker".into()).spawn(move || ask(&service, every, &tell))?;
        Ok(Self(told))
    }

    /// The answer that has come, if one has; an error where none will come any more.
    pub(super) fn answer(&self) -> io::Result<Option<Answer>> {
        match self.0.try_recv() {
            Ok(answer) => Ok(Some(answer)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(io::Error::other("the thread that asks has ended")),
        }
    }
}

fn ask(service: &Service, every: Duration, tell: &SyncSender<Answer>) {
    loop {
        // It may come back early, which does no harm.
        thread::park_timeout(every);
        if tell.send(service.status()).is_err() {
            return;
        }
    }
}
