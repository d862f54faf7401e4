//! What the two sides of a wire share: the bytes that wait to leave, who asked, and what has come for the pipeline.
//!
//! **Invariant:** a batch's place is kept until its last answer has come, also when nobody waits for it any more.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, BytesMut};
use postgres_protocol::message::backend::{
    BIND_COMPLETE_TAG, COMMAND_COMPLETE_TAG, DATA_ROW_TAG, EMPTY_QUERY_RESPONSE_TAG, ERROR_RESPONSE_TAG,
    NOTICE_RESPONSE_TAG, NOTIFICATION_RESPONSE_TAG, PARAMETER_STATUS_TAG, PARSE_COMPLETE_TAG,
    READY_FOR_QUERY_TAG,
};
use slab::Slab;
use tokio::io::AsyncWrite;

use super::Socket;
use super::kept::Kept;
use super::rows::Rows;
use crate::database::error::{Error, Refusal};

/// Sync and simple Query, the frontend's messages that PostgreSQL answers with `ReadyForQuery` (and the only two of those that
/// the driver sends).
const ANSWERED_TAGS: [u8; 2] = [b'S', b'Q'];
/// `CopyData`, `CopyDone`, `CopyFail` and `FunctionCall`, whose answers are counted otherwise; the driver sends none for us.
const REFUSED_TAGS: [u8; 4] = [b'd', b'c', b'f', b'F'];
/// A frontend message's tag and length.
const HEADER: usize = 5;

/// The state of one wire.
#[derive(Default)]
pub(super) struct Pipe {
    outgoing: BytesMut,
    /// Who asked, the oldest first: one entry for each of the driver's `ReadyForQuery`, one for each batch.
    askers: VecDeque<Asker>,
    batches: Slab<Batch>,
    /// The driver's task, which writes.
    writer: Option<Waker>,
    /// Whether the writer was woken since it last wrote.
    is_woken: bool,
    is_shared: bool,
    is_closed: bool,
    /// Whether the socket outlives the wire.
    pub(super) kept: Kept,
}

enum Asker {
    Driver,
    Batch(usize),
}

/// Queries of one request.
struct Batch {
    /// Answers still to come.
    left: u32,
    rows: Rows,
    /// The first error among the answers.
    refusal: Option<Refusal>,
    waker: Option<Waker>,
    is_abandoned: bool,
}

impl Pipe {
    /// From here on both may ask.
    pub(super) fn share(&mut self) {
        self.is_shared = true;
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.outgoing.len()
    }

    pub(super) fn remember_writer(&mut self, waker: &Waker) {
        if self.writer.as_ref().is_none_or(|old| !old.will_wake(waker)) {
            self.writer = Some(waker.clone());
        }
    }

    /// Writes all that waits.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, socket: &mut Socket) -> Poll<io::Result<()>> {
        self.is_woken = false;
        while !self.outgoing.is_empty() {
            match ready!(Pin::new(&mut *socket).poll_write(cx, &self.outgoing))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                all if all == self.outgoing.len() => self.outgoing.clear(),
                some => self.outgoing.advance(some),
            }
        }
        Pin::new(socket).poll_flush(cx)
    }

    /// Takes what the driver sends, always whole messages, and notes the answers that it waits for.
    pub(super) fn take_from_driver(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.outgoing.extend_from_slice(bytes);
        let mut rest = bytes;
        while self.is_shared && !rest.is_empty() {
            let length = match rest {
                [_, a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]) as usize + 1,
                _ => HEADER,
            };
            if length < HEADER || length > rest.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "the driver sent half a message"));
            }
            if REFUSED_TAGS.contains(&rest[0]) {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "COPY on a stream that is shared"));
            }
            if ANSWERED_TAGS.contains(&rest[0]) {
                self.askers.push_back(Asker::Driver);
            }
            rest = &rest[length..];
        }
        Ok(())
    }

    /// Puts a batch of `queries` Syncs into the stream.
    pub(super) fn ask(
        &mut self,
        queries: NonZeroU32,
        rows: Rows,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<usize, Error> {
        if self.is_closed {
            return Err(Error::Lost);
        }
        encode(&mut self.outgoing);
        let batch = Batch { left: queries.get(), rows, refusal: None, waker: None, is_abandoned: false };
        let key = self.batches.insert(batch);
        self.askers.push_back(Asker::Batch(key));
        if !self.is_woken
            && let Some(writer) = &self.writer
        {
            writer.wake_by_ref();
            self.is_woken = true;
        }
        Ok(key)
    }

    /// The answer to a batch, once all of it has come.
    pub(super) fn answer(&mut self, key: usize, cx: &Context<'_>) -> Poll<Result<Rows, Error>> {
        let is_closed = self.is_closed;
        let Some(batch) = self.batches.get_mut(key) else { return Poll::Ready(Err(Error::Lost)) };
        if batch.left > 0 && !is_closed {
            batch.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let batch = self.batches.remove(key);
        Poll::Ready(match batch.refusal {
            Some(refusal) => Err(refusal.into()),
            None if batch.left > 0 => Err(Error::Lost),
            None => Ok(batch.rows),
        })
    }

    /// Nobody waits for the batch any more.
    pub(super) fn abandon(&mut self, key: usize) {
        match self.batches.get_mut(key) {
            Some(batch) if batch.left > 0 => batch.is_abandoned = true,
            Some(_) => drop(self.batches.remove(key)),
            None => {}
        }
    }

    /// Whether the message belongs to the driver: an answer to it, or something that nobody asked for.
    pub(super) fn is_for_driver(&self, tag: u8) -> bool {
        matches!(tag, NOTICE_RESPONSE_TAG | NOTIFICATION_RESPONSE_TAG | PARAMETER_STATUS_TAG)
            || !matches!(self.askers.front(), Some(Asker::Batch(_)))
    }

    /// Notes the end of an answer to the driver.
    pub(super) fn driver_was_sent(&mut self, tag: u8) {
        if tag == READY_FOR_QUERY_TAG {
            self.askers.pop_front();
        }
    }

    /// Takes a message for the oldest batch.
    pub(super) fn take(&mut self, tag: u8, message: &[u8]) -> io::Result<()> {
        let Some(Asker::Batch(key)) = self.askers.front() else { return Err(unexpected(tag)) };
        let batch = &mut self.batches[*key];
        match tag {
            DATA_ROW_TAG if batch.is_abandoned => {}
            DATA_ROW_TAG => batch.rows.push(message),
            READY_FOR_QUERY_TAG => {
                batch.left -= 1;
                if batch.left == 0 {
                    self.end_oldest_batch();
                }
            }
            ERROR_RESPONSE_TAG => {
                let refusal = Refusal::parse(message)?;
                batch.refusal.get_or_insert(refusal);
            }
            BIND_COMPLETE_TAG | COMMAND_COMPLETE_TAG | EMPTY_QUERY_RESPONSE_TAG | PARSE_COMPLETE_TAG => {}
            _ => return Err(unexpected(tag)),
        }
        Ok(())
    }

    fn end_oldest_batch(&mut self) {
        let Some(Asker::Batch(key)) = self.askers.pop_front() else { return };
        let batch = &mut self.batches[key];
        if batch.is_abandoned {
            self.batches.remove(key);
        } else if let Some(waker) = batch.waker.take() {
            waker.wake();
        }
    }

    /// The connection is gone: whoever waits learns it.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.writer = None;
        self.askers.clear();
        self.batches.retain(|_, batch| !batch.is_abandoned);
        for (_, batch) in &mut self.batches {
            if let Some(waker) = batch.waker.take() {
                waker.wake();
            }
        }
    }
}

fn unexpected(tag: u8) -> io::Error {
    let text = format!("PostgreSQL sent a message '{}' that answers nothing asked", tag.escape_ascii());
    io::Error::new(io::ErrorKind::InvalidData, text)
}
