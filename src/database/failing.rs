//! Failures of ours in the driver's words.
//!
//! The pool wants the driver's error type, and only the driver can make one: it is given a stream that fails as we did.
//!
//! **Invariant:** no byte is sent anywhere.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{Error, NoTls};

use super::config::Config;
use super::error::Refusal;

/// The driver's error for an I/O error of ours.
pub(super) async fn failed(error: io::Error, config: &Config) -> Error {
    match config.driver(false).connect_raw(Failing(Some(error)), NoTls).await {
        Err(error) => error,
        Ok(_) => unreachable!("no connection comes about over a stream that fails"),
    }
}

/// Why none of several addresses gave a session, inside an I/O error.
#[derive(Debug)]
pub(super) struct Several {
    reasons: String,
    /// Of what PostgreSQL said at them, what tells the most.
    pub(super) decisive: Option<Refusal>,
}

impl Several {
    /// From a reason for each, put into an order that stays the same, and from what PostgreSQL said.
    pub(super) fn new(mut reasons: Vec<String>, refusals: impl Iterator<Item = Refusal>) -> Self {
        reasons.sort();
        let decisive = refusals.min_by(|one, other| one.rank().cmp(&other.rank()));
        Self { reasons: reasons.join("; "), decisive }
    }

    /// What the driver's error was made from, if it was this.
    pub(super) fn of(error: &Error) -> Option<&Self> {
        let cause = std::error::Error::source(error)?.downcast_ref::<io::Error>()?;
        cause.get_ref()?.downcast_ref()
    }
}

impl std::fmt::Display for Several {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.reasons)
    }
}

impl std::error::Error for Several {}

/// A stream whose first use fails, and every other too.
struct Failing(Option<io::Error>);

impl Failing {
    fn fail<T>(mut self: Pin<&mut Self>) -> Poll<io::Result<T>> {
        Poll::Ready(Err(self.0.take().unwrap_or_else(|| io::ErrorKind::NotConnected.into())))
    }
}

impl AsyncRead for Failing {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.fail()
    }
}

impl AsyncWrite for Failing {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        self.fail()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fail()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fail()
    }
}
