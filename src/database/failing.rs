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

/// The driver's error for an I/O error of ours.
pub(super) async fn failed(error: io::Error, config: &Config) -> Error {
    match config.driver(false).connect_raw(Failing(Some(error)), NoTls).await {
        Err(error) => error,
        Ok(_) => unreachable!("no connection comes about over a stream that fails"),
    }
}

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
