//! One connection of somebody who asks: one request, one answer.
//!
//! **Invariant:** a connection ends by itself soon, whatever its client does, and so gives its place back.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::reply::Whole;

/// How long a request may take to come.
const HEAD_PATIENCE: Duration = Duration::from_secs(2);
/// How long its answer may take besides: longer than any question to a process or to PostgreSQL.
const ANSWER_PATIENCE: Duration = Duration::from_secs(8);
/// The largest head, in bytes.
const MOST_HEAD: usize = 16 * 1024;
/// Bytes that are read at a time.
const PART: usize = 4 * 1024;

/// A stream as hyper reads and writes it.
struct Stream<S>(S);

/// Serves the one request that comes, by `answer`.
pub(super) async fn serve<S, F>(stream: S, answer: impl Fn(Request<Incoming>) -> F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Response<Whole>>,
{
    let has_come = Rc::new(Cell::new(false));
    let noted = Rc::clone(&has_come);
    let service = service_fn(move |request| {
        noted.set(true);
        let answered = answer(request);
        async move { Ok::<_, std::convert::Infallible>(answered.await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MOST_HEAD)
        .serve_connection(Stream(stream), service);
    let limit = async {
        tokio::time::sleep(HEAD_PATIENCE).await;
        if has_come.get() {
            tokio::time::sleep(ANSWER_PATIENCE).await;
        }
    };
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!("a connection of the admin side broke: {error}");
            }
        }
        () = limit => {}
    }
}

impl<S: AsyncRead + Unpin> hyper::rt::Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut out: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut part = [0; PART];
        let size = out.remaining().min(PART);
        let mut into = ReadBuf::new(&mut part[..size]);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut into))?;
        out.put_slice(into.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
