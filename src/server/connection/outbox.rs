//! The sending half of a connection: answers of pipelined requests are gathered and sent together.
//!
//! An answer behind which no whole request waits goes to the socket at once, straight from hyper's buffer. While requests wait
//! in line, answers are gathered in memory that all connections of the worker share, and sent when hyper's turn ends, whatever
//! it waits for: so a finished answer waits neither for the rest of a next request nor for a slow one behind it.
//!
//! **Invariant:** the shared memory is empty between turns. Whoever begins a turn clears it, so that not even a panic carries
//! one connection's bytes into another.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;

use super::super::worker::Worker;
use super::state::ConnectionState;

/// Bytes gathered before they are sent within a turn; also what a client that does not read may make us hold.
const MOST_GATHERED: usize = 64 * 1024;

/// One connection's sending half.
pub(super) struct Outbox {
    socket: RefCell<OwnedWriteHalf>,
    /// What the socket did not take yet. Empty and without memory unless the client reads slowly.
    unsent: RefCell<Vec<u8>>,
    worker: Rc<Worker>,
    state: Rc<ConnectionState>,
}

impl Outbox {
    pub(super) fn new(socket: OwnedWriteHalf, worker: Rc<Worker>, state: Rc<ConnectionState>) -> Self {
        Self { socket: RefCell::new(socket), unsent: RefCell::default(), worker, state }
    }

    /// Begins a turn of this connection.
    pub(super) fn begin_turn(&self) {
        self.worker.gathered.borrow_mut().clear();
    }

    /// Sends bytes at once if nothing is before them, else gathers them.
    pub(super) fn send(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        more_to_come: bool,
    ) -> Poll<io::Result<usize>> {
        let waiting = self.unsent.borrow().len() + self.worker.gathered.borrow().len();
        if waiting == 0 && !more_to_come {
            let written = Pin::new(&mut *self.socket.borrow_mut()).poll_write(cx, bytes);
            self.state.note_write(written.is_ready(), written.is_pending());
            return written;
        }
        if waiting >= MOST_GATHERED {
            ready!(self.flush(cx))?;
        }
        self.worker.gathered.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Sends what was gathered; ready when the socket has taken all of it.
    pub(super) fn flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (mut unsent, mut gathered) = (self.unsent.borrow_mut(), self.worker.gathered.borrow_mut());
        if unsent.is_empty() && gathered.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut socket = self.socket.borrow_mut();
        if unsent.is_empty() {
            let sent = self.write(&mut socket, cx, &gathered)?;
            unsent.extend_from_slice(&gathered[sent..]);
        } else {
            unsent.extend_from_slice(&gathered);
            let sent = self.write(&mut socket, cx, &unsent)?;
            unsent.drain(..sent);
        }
        gathered.clear();
        if unsent.is_empty() {
            *unsent = Vec::new();
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Whether nothing waits to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.unsent.borrow().is_empty()
    }

    /// Sends everything, then says that nothing more will come.
    pub(super) fn shut_down(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.flush(cx))?;
        Pin::new(&mut *self.socket.borrow_mut()).poll_shutdown(cx)
    }

    /// Writes as much as the socket takes; where that is not all, the task is woken when it takes more.
    fn write(&self, socket: &mut OwnedWriteHalf, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            match Pin::new(&mut *socket).poll_write(cx, &bytes[sent..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => sent += written?,
                Poll::Pending => break,
            }
        }
        self.state.note_write(sent > 0, sent < bytes.len());
        Ok(sent)
    }
}
