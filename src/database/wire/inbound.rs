//! The reading side: large reads, cut into messages, each handed to whoever asked.
//!
//! **Invariant:** the driver's bytes reach it unchanged and in order; not one of them is lost when it takes fewer than there are.

use std::io;
use std::pin::Pin;
use std::sync::MutexGuard;
use std::task::{Context, Poll, ready};

use postgres_protocol::message::backend::Header;
use tokio::io::{AsyncRead, ReadBuf};

use super::Socket;
use super::pipe::Pipe;

/// Bytes that one read may bring.
const ROOM: usize = 64 * 1024;
/// The longest message that is taken; the service's own are below 1 KiB.
const LONGEST_MESSAGE: usize = 16 * 1024 * 1024;

/// What was read and not handed on.
pub(super) struct Inbound {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes from `start` on that are the driver's.
    for_driver: usize,
    /// Whether anybody but the driver may ask; where messages begin is followed from the first byte then.
    sorts: bool,
}

impl Inbound {
    pub(super) fn new(sorts: bool) -> Self {
        Self { buffer: vec![0; ROOM], start: 0, end: 0, for_driver: 0, sorts }
    }

    /// Gives the driver what is there for it, as far as it fits; whether that is all that can be done now.
    pub(super) fn deliver(&mut self, out: &mut ReadBuf<'_>) -> bool {
        if self.for_driver == 0 {
            return out.remaining() == 0;
        }
        let fits = self.for_driver.min(out.remaining());
        out.put_slice(&self.buffer[self.start..self.start + fits]);
        self.start += fits;
        self.for_driver -= fits;
        fits > 0 || out.remaining() == 0
    }

    /// Hands on the pipeline's messages up to the first of the driver's; gives how many bytes from there on are the driver's. Where nobody
    /// else asks all are, and `pipe` is not looked at.
    pub(super) fn sort<'a>(&mut self, pipe: impl FnOnce() -> MutexGuard<'a, Pipe>) -> io::Result<usize> {
        if !self.sorts {
            self.for_driver = self.end - self.start;
            return Ok(self.for_driver);
        }
        let mut pipe = pipe();
        while let Some((tag, length)) = self.message_at(self.start + self.for_driver)? {
            if pipe.is_for_driver(tag) {
                pipe.driver_was_sent(tag);
                self.for_driver += length;
            } else if self.for_driver == 0 {
                pipe.take(tag, &self.buffer[self.start..self.start + length])?;
                self.start += length;
            } else {
                // The driver's turn comes first.
                break;
            }
        }
        Ok(self.for_driver)
    }

    /// Reads once; gives the number of bytes, 0 at the end.
    pub(super) fn fill(&mut self, cx: &mut Context<'_>, socket: &mut Socket) -> Poll<io::Result<usize>> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > ROOM {
                // A long message is rare, and its memory not kept for the next.
                self.buffer = vec![0; ROOM];
            }
        } else if self.end == self.buffer.len() {
            self.make_room()?;
        }
        let mut buffer = ReadBuf::new(&mut self.buffer[self.end..]);
        ready!(Pin::new(socket).poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        self.end += read;
        Poll::Ready(Ok(read))
    }

    /// Moves the beginning of a message to the front; a message that is longer than the buffer gets a longer one.
    fn make_room(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == self.buffer.len() {
            if self.end >= LONGEST_MESSAGE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of more than 16 MiB"));
            }
            self.buffer.resize(2 * self.end, 0);
        }
        Ok(())
    }

    /// The tag and the whole length of the message that begins there, if all of it has come.
    fn message_at(&self, from: usize) -> io::Result<Option<(u8, usize)>> {
        let bytes = &self.buffer[from..self.end];
        let Some(header) = Header::parse(bytes)? else { return Ok(None) };
        let length = usize::try_from(header.len()).map_or(usize::MAX, |length| length.saturating_add(1));
        Ok((length <= bytes.len()).then(|| (header.tag(), length)))
    }
}
