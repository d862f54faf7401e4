//! The stream that hyper reads and writes: it hands on whole request heads, and bodies that are expected.
//!
//! hyper takes what it gets: it accepts bare line feeds, and while any byte of a next request is in its buffer it behaves
//! differently. So bytes are read into the worker's scratch memory, scanned, and handed on head by head. What is refused is
//! answered by [`super::farewell`], after all answers before it, when hyper has come to the end of what it was given.
//!
//! **Invariant:** what hyper is given ends with a whole head, or within a body that is expected.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::stop::Phase;
use super::Client;
use super::bodies::Bodies;
use super::refusal::Refusal;
use super::scan::Scanner;

/// A connection's stream as hyper sees it.
pub(super) struct Guard {
    client: Rc<Client>,
    scanner: Scanner,
    bodies: Bodies,
    /// Bytes that were read and not handed on: whole heads that found no room, then the beginning of the next. Empty and
    /// without memory when requests come whole, as they nearly always do.
    held: Vec<u8>,
    /// How many of the held bytes belong to whole heads.
    whole: usize,
    /// Whether the socket was looked at.
    has_looked: bool,
}

impl Guard {
    pub(super) fn new(client: Rc<Client>) -> Self {
        Self {
            client,
            scanner: Scanner::default(),
            bodies: Bodies::default(),
            held: Vec::new(),
            whole: 0,
            has_looked: false,
        }
    }

    /// Reads once and scans; what is whole goes to `out` as far as it fits. Gives the number of bytes read.
    fn fill(&mut self, cx: &mut Context<'_>, out: &mut ReadBufCursor<'_>) -> Poll<io::Result<usize>> {
        let Client { stream, worker, state, .. } = &*self.client;
        let mut stream = stream.borrow_mut();
        let mut scratch = worker.scratch.borrow_mut();
        let size = out.remaining().min(scratch.len());
        let has_looked = std::mem::replace(&mut self.has_looked, true);
        let read = match read(&mut stream, cx, &mut scratch[..size]).inspect_err(|_| state.note_left())? {
            Poll::Ready(read) => read,
            // Look past the runtime, which may not have heard yet of a request that is here: at first, since something woke this connection,
            // and when the grace of a drain is over.
            Poll::Pending if !has_looked || worker.phase.get() == Phase::Closing => {
                match read_now(&stream, &mut scratch[..size]).inspect_err(|_| state.note_left())? {
                    Some(read) => read,
                    None => return Poll::Pending,
                }
            }
            Poll::Pending => return Poll::Pending,
        };
        worker.context.counters.bytes_in.add(read as u64);
        if read == 0 {
            state.note_left();
        }
        let bytes = &scratch[..read];
        let scanned = if worker.context.takes_bodies() {
            self.bodies.feed(&mut self.scanner, &self.held, bytes)
        } else {
            self.scanner.feed(bytes)
        };
        let (whole, rest) = bytes.split_at(scanned.whole);
        if let Some(refusal) = scanned.refusal {
            state.refuse(refusal);
        }
        state.note_read(Instant::now(), scanned.heads, self.scanner.is_within_head() && !state.is_deaf());
        if self.held.is_empty() {
            out.put_slice(whole);
        } else {
            self.whole = if whole.is_empty() { 0 } else { self.held.len() + whole.len() };
            self.held.extend_from_slice(whole);
        }
        if !rest.is_empty() {
            if worker.has_no_memory() {
                state.refuse(Refusal::Shed);
            }
            if !state.is_deaf() {
                self.held.extend_from_slice(rest);
            }
        }
        if state.is_deaf() && self.whole == 0 {
            self.held = Vec::new();
        }
        Poll::Ready(Ok(read))
    }

    /// Hands on whole heads that were held back.
    fn deliver_held(&mut self, out: &mut ReadBufCursor<'_>) {
        let fits = self.whole.min(out.remaining());
        out.put_slice(&self.held[..fits]);
        self.held.drain(..fits);
        self.whole -= fits;
        if self.held.is_empty() {
            self.held = Vec::new();
        }
    }
}

impl hyper::rt::Read for Guard {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut out: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        loop {
            if guard.whole > 0 {
                guard.deliver_held(&mut out);
                return Poll::Ready(Ok(()));
            }
            // To hyper a refusal looks like the client's end: it answers what it has, and then ends.
            if guard.client.state.is_deaf() {
                guard.held = Vec::new();
                return Poll::Ready(Ok(()));
            }
            let room = out.remaining();
            let read = ready!(guard.fill(cx, &mut out))?;
            if read == 0 || out.remaining() < room {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl hyper::rt::Write for Guard {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.client.send(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is gathered goes out at the end of the turn: asked for after each answer, a flush would send each alone.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.client.say_farewell(cx)
    }
}

pub(super) fn read(stream: &mut TcpStream, cx: &mut Context<'_>, into: &mut [u8]) -> io::Result<Poll<usize>> {
    let mut buffer = ReadBuf::new(into);
    match Pin::new(stream).poll_read(cx, &mut buffer) {
        Poll::Ready(Ok(())) => Ok(Poll::Ready(buffer.filled().len())),
        Poll::Ready(Err(error)) => Err(error),
        Poll::Pending => Ok(Poll::Pending),
    }
}

/// Asks the kernel itself; nothing if nothing is there.
fn read_now(stream: &TcpStream, into: &mut [u8]) -> io::Result<Option<usize>> {
    match rustix::net::recv(stream, into, rustix::net::RecvFlags::DONTWAIT) {
        Ok((read, _)) => Ok(Some(read)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
