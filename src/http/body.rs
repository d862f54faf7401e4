//! The bodies of answers: a fixed text, or bytes that were rendered for the request.
//!
//! hyper copies a body into its own buffer nearly as soon as it has the answer. So one buffer, which comes back when the body
//! is dropped, serves one request after the other without an allocation; a body that waits longer keeps its own.
//!
//! **Invariant:** a buffer is empty when it is lent, whatever became of the answer that it held before.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Buf;
use hyper::body::{Frame, SizeHint};

/// The largest buffer that is kept for the next answer, in bytes: above what 500 rows need.
const MOST_KEPT: usize = 64 * 1024;

/// A body that is there as a whole; empty once hyper has taken it.
pub(crate) struct Body(Option<Chunk>);

/// The bytes of a body, as hyper takes them.
pub(crate) struct Chunk {
    source: Source,
    taken: usize,
}

enum Source {
    Fixed(&'static str),
    Rendered(Buffer),
}

/// Memory to render into, which returns to the worker that lent it.
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    home: Rc<Spare>,
}

/// The buffer of a worker, while no answer has it.
#[derive(Default)]
pub(super) struct Spare(Cell<Vec<u8>>);

impl Spare {
    /// The spare buffer, else a new one.
    pub(super) fn lend(self: &Rc<Self>) -> Buffer {
        Buffer { bytes: self.0.take(), home: Rc::clone(self) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() <= MOST_KEPT {
            bytes.clear();
            self.home.0.set(bytes);
        }
    }
}

impl Body {
    pub(super) fn fixed(text: &'static str) -> Self {
        Self(Some(Chunk { source: Source::Fixed(text), taken: 0 }))
    }

    pub(super) fn rendered(buffer: Buffer) -> Self {
        Self(Some(Chunk { source: Source::Rendered(buffer), taken: 0 }))
    }
}

impl hyper::body::Body for Body {
    type Data = Chunk;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|chunk| !chunk.has_remaining())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |chunk| chunk.remaining() as u64))
    }
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match &self.source {
            Source::Fixed(text) => text.as_bytes(),
            Source::Rendered(buffer) => &buffer.bytes,
        }
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes().len() - self.taken
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes()[self.taken..]
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining(), "no more is taken than there is");
        self.taken += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_is_lent_again() {
        let spare = Rc::new(Spare::default());
        let mut buffer = spare.lend();
        buffer.bytes.extend_from_slice(b"Hello, World!");
        let memory = buffer.bytes.as_ptr();
        let mut body = Body::rendered(buffer);
        assert_eq!(hyper::body::Body::size_hint(&body).exact(), Some(13));
        let chunk = body.0.take().unwrap();
        assert_eq!(chunk.chunk(), b"Hello, World!");
        drop(chunk);
        let again = spare.lend();
        assert!(again.bytes.is_empty());
        assert_eq!(again.bytes.as_ptr(), memory, "the same memory");
    }

    #[test]
    fn two_bodies_at_once_have_a_buffer_each() {
        let spare = Rc::new(Spare::default());
        let (mut one, mut other) = (spare.lend(), spare.lend());
        one.bytes.push(b'1');
        other.bytes.push(b'2');
        assert_eq!((one.bytes.as_slice(), other.bytes.as_slice()), (&b"1"[..], &b"2"[..]));
    }

    #[test]
    fn a_buffer_that_grew_too_large_is_not_kept() {
        let spare = Rc::new(Spare::default());
        spare.lend().bytes.reserve(MOST_KEPT + 1);
        assert_eq!(spare.lend().bytes.capacity(), 0);
    }

    #[test]
    fn a_body_is_taken_in_parts_and_ends() {
        let mut chunk = Chunk { source: Source::Fixed("no such route\n"), taken: 0 };
        chunk.advance(3);
        assert_eq!((chunk.remaining(), chunk.chunk()), (11, &b"such route\n"[..]));
        assert!(hyper::body::Body::is_end_stream(&Body::fixed("")));
    }
}
