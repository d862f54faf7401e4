//! The sending side of a connection: answers of pipelined requests are gathered and sent together.
//!
//! An answer behind which no whole request waits goes to the socket at once, straight from hyper's buffer. While requests wait
//! in line, answers are gathered in memory that all connections of the worker share, and sent when hyper's turn ends, whatever
//! it waits for: so a finished answer waits neither for the rest of a next request nor for a slow one behind it.
//!
//! **Invariant:** the shared memory is empty between turns. Whoever begins a turn clears it, so that not even a panic carries
//! one connection's bytes into another.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::Client;
use super::state::Take;

/// Bytes gathered before they are sent within a turn; also what a client that does not read may make us hold.
const MOST_GATHERED: usize = 64 * 1024;

impl Client {
    /// Begins a turn of this connection.
    pub(super) fn begin_turn(&self) {
        self.worker.gathered.borrow_mut().clear();
    }

    /// Takes bytes to send: at once if nothing is before them and no request behind them, else with what is gathered.
    pub(super) fn send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let before = self.unsent.borrow().len() + self.worker.gathered.borrow().len();
        if before == 0 && self.state.is_last_in_line() {
            return self.write(cx, bytes);
        }
        if before >= MOST_GATHERED {
            ready!(self.flush(cx))?;
        }
        self.worker.gathered.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Sends what was gathered; ready when the socket has taken all of it.
    pub(super) fn flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (mut unsent, mut gathered) = (self.unsent.borrow_mut(), self.worker.gathered.borrow_mut());
        // Nearly always: an answer with none behind it has gone past this.
        if unsent.is_empty() && gathered.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut sent = 0;
        if unsent.is_empty() {
            let outcome = self.write_all(cx, &gathered, &mut sent);
            if sent < gathered.len() && self.worker.has_no_memory() {
                self.state.shed(Instant::now());
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
            unsent.extend_from_slice(&gathered[sent..]);
            gathered.clear();
            return outcome;
        }
        unsent.append(&mut gathered);
        let outcome = self.write_all(cx, &unsent, &mut sent);
        unsent.drain(..sent);
        if unsent.is_empty() {
            *unsent = Vec::new();
        }
        outcome
    }

    /// Sends everything, then says that nothing more will come.
    pub(super) fn shut_down(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.flush(cx))?;
        Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx)
    }

    /// Writes until the socket takes no more, or all is `sent`.
    fn write_all(&self, cx: &mut Context<'_>, bytes: &[u8], sent: &mut usize) -> Poll<io::Result<()>> {
        while *sent < bytes.len() {
            match ready!(self.write(cx, &bytes[*sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *sent += more,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes once and notes whether the client makes room.
    fn write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.stream.borrow();
        loop {
            // Nearly always there is room; only where there is none, the runtime is asked to say when there is.
            let written = match stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    stream.poll_write_ready(cx)?.map(|()| None)
                }
                written => Poll::Ready(Some(written)),
            };
            self.state.note_write(match &written {
                Poll::Pending | Poll::Ready(None) => Take::Nothing,
                Poll::Ready(Some(Ok(taken))) if *taken < bytes.len() => Take::Part(*taken),
                Poll::Ready(Some(_)) => Take::All,
            });
            if let Some(written) = ready!(written) {
                if let Ok(sent) = written {
                    self.worker.context.counters.bytes_out.add(sent as u64);
                }
                return Poll::Ready(written);
            }
        }
    }
}
