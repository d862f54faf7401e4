//! The way past the driver: queries put straight into the stream, and the wait for their answers.
//!
//! **Invariant:** a reply that is dropped leaves its queries in the stream; their answers are thrown away as they come.

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::BytesMut;

use super::kept::Kept;
use super::pipe::Pipe;
use super::{Rows, lock};
use crate::database::error::Error;

/// A handle to the stream under one database connection.
#[derive(Clone)]
pub(in crate::database) struct Pipeline(Arc<Mutex<Pipe>>);

impl Pipeline {
    pub(super) fn new(pipe: Arc<Mutex<Pipe>>) -> Self {
        Self(pipe)
    }

    /// Lets the pipeline ask beside the driver. Only while the driver waits for nothing, after the connection's start.
    pub(in crate::database) fn share(&self) {
        lock(&self.0).share();
    }

    /// Has the socket stay open when the connection's task is gone, until it is let go.
    pub(in crate::database) fn keep_socket(&self) {
        lock(&self.0).kept = Kept::Wanted;
    }

    /// Closes the socket if it was kept.
    pub(in crate::database) fn let_socket_go(&self) {
        lock(&self.0).kept = Kept::Unwanted;
    }

    /// Asks `queries` questions, each with its own Sync, as `encode` writes them; `room` bytes is a guess at their rows.
    pub(in crate::database) fn ask(
        &self,
        queries: NonZeroU32,
        room: usize,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<Reply, Error> {
        let key = lock(&self.0).ask(queries, Rows::with_room(room), encode)?;
        Ok(Reply { pipe: Arc::clone(&self.0), key: Some(key) })
    }
}

/// The answers to all queries of one batch, to be awaited.
pub(in crate::database) struct Reply {
    pipe: Arc<Mutex<Pipe>>,
    /// Nothing once the answer was taken.
    key: Option<usize>,
}

impl Future for Reply {
    type Output = Result<Rows, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(key) = self.key else { return Poll::Ready(Err(Error::Lost)) };
        let answer = lock(&self.pipe).answer(key, cx);
        if answer.is_ready() {
            self.key = None;
        }
        answer
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            lock(&self.pipe).abandon(key);
        }
    }
}
