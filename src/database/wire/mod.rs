//! The stream under the driver: reads are large, and what lanes write in one turn of the event loop leaves together, once the
//! driver's own 8 KiB are full or its turn ends.
//!
//! PostgreSQL answers in the order in which it was asked. So one connection can serve two who ask: the driver, which opens it,
//! authenticates and asks whatever is rare, and the lane, which may put its queries past the driver into the same stream
//! ([`Pipeline`]). The [`pipe`] remembers who asked what; the [`inbound`] side sorts the answers by it.
//!
//! **Invariant:** each Sync or simple query that leaves is answered by exactly one `ReadyForQuery`, and the answer goes to the
//! one who asked for the oldest of them. COPY, during which PostgreSQL ignores Syncs, is refused on a shared stream.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

mod inbound;
mod kept;
mod pipe;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod properties;
mod reply;
mod rows;
mod socket;

use inbound::Inbound;
use pipe::Pipe;
pub(super) use reply::Pipeline;
pub(super) use rows::{Row, Rows};
pub(super) use socket::Socket;

/// Bytes that wait to be written before the driver is asked to wait.
const MOST_WAITING: usize = 256 * 1024;

/// The stream that the driver reads and writes.
pub(super) struct Wire {
    socket: Socket,
    inbound: Inbound,
    pipe: Arc<Mutex<Pipe>>,
}

impl Wire {
    /// A stream over a fresh socket, all the driver's; for good, unless it `may_be_shared`, by [`Pipeline::share`].
    pub(super) fn new(socket: Socket, may_be_shared: bool) -> Self {
        Self { socket, inbound: Inbound::new(may_be_shared), pipe: Arc::default() }
    }

    /// What binds a login to the certificate of the server, under TLS.
    pub(super) fn binding(&self) -> Option<Vec<u8>> {
        self.socket.binding()
    }

    /// Whether it runs over TLS.
    pub(super) fn is_secured(&self) -> bool {
        self.socket.is_secured()
    }

    /// The way past the driver.
    pub(super) fn pipeline(&self) -> Pipeline {
        Pipeline::new(Arc::clone(&self.pipe))
    }
}

/// Nothing panics while it holds the lock but for a fault of ours, and then the connection ends with its task.
fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { socket, inbound, pipe } = self.get_mut();
        while !inbound.deliver(out) {
            let sorted = inbound.sort(|| {
                let mut pipe = lock(pipe);
                pipe.remember_writer(cx.waker());
                pipe
            })?;
            if sorted == 0 && ready!(inbound.fill(cx, socket))? == 0 {
                lock(pipe).close();
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { socket, pipe, .. } = self.get_mut();
        let mut pipe = lock(pipe);
        if pipe.waiting() >= MOST_WAITING {
            ready!(pipe.write(cx, socket))?;
        }
        pipe.take_from_driver(bytes)?;
        Poll::Ready(Ok(bytes.len()))
    }

    /// The driver asks for it at the end of each of its turns.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, pipe, .. } = self.get_mut();
        lock(pipe).write(cx, socket)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, pipe, .. } = self.get_mut();
        ready!(lock(pipe).write(cx, socket))?;
        Pin::new(socket).poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut pipe = lock(&self.pipe);
        pipe.close();
        pipe.kept.take(&self.socket);
    }
}

/// A wire between the driver's side, the pipeline's side, and a PostgreSQL that the test plays.
#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::num::NonZeroU32;
    use std::time::Duration;

    use bytes::BytesMut;
    use postgres_protocol::message::frontend;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::*;
    use crate::database::error::Error;

    const READY: &[u8] = b"Z\0\0\0\x05I";
    const NOTICE: &[u8] = b"N\0\0\0\x0aSLOG\0\0";
    const SYNC: &[u8] = b"S\0\0\0\x04";
    const QUERY: &[u8] = b"Q\0\0\0\x05\0";
    const BOUND: &[u8] = b"2\0\0\0\x04";
    const DONE: &[u8] = b"C\0\0\0\x0dSELECT 1\0";

    /// Longer than any of these tests takes on a busy machine; only a fault waits so long.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn row(number: i32) -> Vec<u8> {
        [b"D\0\0\0\x0e\0\x01\0\0\0\x04".as_slice(), &number.to_be_bytes()].concat()
    }

    /// The answer to one query of the pipeline's.
    fn answer(number: i32) -> Vec<u8> {
        [BOUND, &row(number), DONE, READY].concat()
    }

    fn wire() -> (Wire, Pipeline, UnixStream) {
        let (ours, postgresql) = UnixStream::pair().unwrap();
        let wire = Wire::new(Socket::Unix(ours), true);
        let pipeline = wire.pipeline();
        pipeline.share();
        (wire, pipeline, postgresql)
    }

    fn ask(pipeline: &Pipeline, queries: u32) -> impl Future<Output = Result<Rows, Error>> + use<> {
        let sync = |out: &mut BytesMut| (0..queries).for_each(|_| frontend::sync(out));
        pipeline.ask(NonZeroU32::new(queries).unwrap(), 0, sync).unwrap()
    }

    fn numbers(rows: &Rows) -> Vec<i32> {
        rows.iter().map(|mut row| row.int4().unwrap()).collect()
    }

    /// Reads what the driver gets, for as long as `until` has not come about.
    async fn drive<T>(wire: &mut Wire, until: impl Future<Output = T>) -> (Vec<u8>, T) {
        let (mut got, mut until) = (Vec::new(), std::pin::pin!(until));
        let both = async {
            loop {
                let mut bytes = [0; 7];
                tokio::select! {
                    biased;
                    read = wire.read(&mut bytes) => match read.unwrap() {
                        0 => return until.await,
                        read => got.extend_from_slice(&bytes[..read]),
                    },
                    outcome = &mut until => return outcome,
                }
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, both).await.expect("nothing came");
        (got, outcome)
    }

    #[tokio::test]
    async fn answers_go_to_who_asked_wherever_the_stream_is_cut() {
        let stream = [&answer(1), NOTICE, &answer(2), BOUND, READY, &answer(3), NOTICE].concat();
        for cut in 0..=stream.len() {
            let (mut wire, pipeline, mut postgresql) = wire();
            let first = ask(&pipeline, 2);
            wire.write_all(SYNC).await.unwrap();
            let second = ask(&pipeline, 1);
            wire.flush().await.unwrap();
            let mut asked = [0; 4 * SYNC.len()];
            postgresql.read_exact(&mut asked).await.unwrap();
            assert_eq!(asked.as_slice(), SYNC.repeat(4));
            let answers = async {
                postgresql.write_all(&stream[..cut]).await.unwrap();
                tokio::task::yield_now().await;
                postgresql.write_all(&stream[cut..]).await.unwrap();
                (first.await.unwrap(), second.await.unwrap())
            };
            let (mut driver, (first, second)) = drive(&mut wire, answers).await;
            assert_eq!((numbers(&first), numbers(&second)), (vec![1, 2], vec![3]), "cut at {cut}");
            drop(postgresql);
            wire.read_to_end(&mut driver).await.unwrap();
            assert_eq!(driver, [NOTICE, BOUND, READY, NOTICE].concat(), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn a_message_of_16_mib_is_taken_and_one_byte_more_ends_the_connection() {
        const LONGEST: u32 = 16 * 1024 * 1024;
        for (whole, is_taken) in [(LONGEST, true), (LONGEST + 1, false)] {
            let (mut wire, _, mut postgresql) = wire();
            let mut message = vec![0; whole as usize];
            message[0] = b'N';
            message[1..5].copy_from_slice(&(whole - 1).to_be_bytes());
            let mut got = vec![1; whole as usize];
            let was_taken = tokio::select! {
                read = wire.read_exact(&mut got) => read.is_ok(),
                // Refused, it is not read to its end.
                never = async { postgresql.write_all(&message).await.map(|()| postgresql).ok(); std::future::pending().await } => never,
            };
            assert_eq!(was_taken, is_taken, "{whole} bytes");
            assert_eq!(got == message, is_taken, "{whole} bytes");
        }
    }

    #[tokio::test]
    async fn an_error_is_one_query_s_and_the_rest_of_the_batch_is_awaited() {
        let (mut wire, pipeline, mut postgresql) = wire();
        let (failing, sound) = (ask(&pipeline, 3), ask(&pipeline, 1));
        let error = b"E\0\0\0\x17SERROR\0C42P01\0Mno\0\0";
        let stream =
            [&answer(1), [error.as_slice(), READY].concat().as_slice(), &answer(3), &answer(4)].concat();
        let answers = async {
            postgresql.write_all(&stream).await.unwrap();
            (failing.await, sound.await.unwrap())
        };
        let (driver, (failed, sound)) = drive(&mut wire, answers).await;
        assert!(matches!(failed, Err(Error::Refused(_))));
        assert_eq!((numbers(&sound), driver.as_slice()), (vec![4], &b""[..]));
    }

    #[tokio::test]
    async fn a_reply_that_is_dropped_is_read_past() {
        let (mut wire, pipeline, mut postgresql) = wire();
        drop(ask(&pipeline, 2));
        let kept = ask(&pipeline, 1);
        wire.write_all(QUERY).await.unwrap();
        let stream = [answer(1), answer(2), answer(3), READY.to_vec()].concat();
        let answers = async {
            postgresql.write_all(&stream).await.unwrap();
            kept.await.unwrap()
        };
        let (mut driver, kept) = drive(&mut wire, answers).await;
        drop(postgresql);
        wire.read_to_end(&mut driver).await.unwrap();
        assert_eq!((numbers(&kept), driver.as_slice()), (vec![3], READY));
    }

    #[tokio::test]
    async fn whoever_waits_learns_of_the_end() {
        for reset in [false, true] {
            let (mut wire, pipeline, postgresql) = wire();
            let waiting = ask(&pipeline, 1);
            if reset {
                drop(wire);
            } else {
                drop(postgresql);
                assert_eq!(wire.read(&mut [0; 8]).await.unwrap(), 0);
            }
            assert!(matches!(waiting.await, Err(Error::Lost)));
            assert!(
                matches!(pipeline.ask(NonZeroU32::MIN, 0, frontend::sync), Err(Error::Lost)),
                "asking on a closed wire"
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_stops_in_the_middle_of_a_batch_has_lost_it() {
        let (mut wire, pipeline, mut postgresql) = wire();
        let waiting = ask(&pipeline, 2);
        let status = b"S\0\0\0\x08a\0b\0";
        let fatal = b"E\0\0\0\x1eSFATAL\0VFATAL\0C57P01\0Mno\0\0";
        let stream = [answer(1).as_slice(), status, fatal].concat();
        postgresql.write_all(&stream).await.unwrap();
        drop(postgresql);
        let (driver, outcome) = drive(&mut wire, waiting).await;
        assert!(matches!(outcome, Err(Error::Lost)));
        assert_eq!(driver, status, "what nobody asked for is the driver's");
    }

    #[tokio::test]
    async fn a_full_socket_loses_and_swaps_nothing() {
        let (mut wire, pipeline, mut postgresql) = wire();
        let (mut all, mut replies) = (Vec::new(), Vec::new());
        let ask_and_query = async {
            for round in 0..400_u32 {
                let text = format!("{round:05}").repeat(400);
                let length = u32::try_from(text.len() + 4).unwrap().to_be_bytes();
                let query = [b"Q".as_slice(), &length, text.as_bytes()].concat();
                wire.write_all(&query).await.unwrap();
                all.extend_from_slice(&query);
                replies.push(ask(&pipeline, 1));
                all.extend_from_slice(SYNC);
            }
            wire.flush().await.unwrap();
            wire.shutdown().await.unwrap();
            all
        };
        let mut received = Vec::new();
        let both = async { tokio::join!(ask_and_query, postgresql.read_to_end(&mut received)) };
        let (sent, _) = tokio::time::timeout(PATIENCE, both).await.expect("it came to a halt");
        assert!(sent == received, "{} bytes were sent, {} received", sent.len(), received.len());
    }

    #[tokio::test]
    async fn messages_that_answer_nothing_end_the_stream() {
        let (mut wire, pipeline, mut postgresql) = wire();
        let _waiting = ask(&pipeline, 1);
        postgresql.write_all(b"W\0\0\0\x04").await.unwrap();
        let error = wire.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_message_longer_than_the_buffer_comes_whole() {
        let (mut wire, pipeline, mut postgresql) = wire();
        let waiting = ask(&pipeline, 1);
        let text = vec![b'x'; 300_000];
        let length = |less: usize| u32::try_from(text.len() + less).unwrap().to_be_bytes();
        let row = [b"D".as_slice(), &length(10), b"\0\x01", &length(0), &text].concat();
        let answers = async {
            postgresql.write_all(&[&row, DONE, READY].concat()).await.unwrap();
            waiting.await.unwrap()
        };
        let (_, rows) = drive(&mut wire, answers).await;
        assert_eq!(rows.iter().next().unwrap().text().unwrap().as_bytes(), text);
    }
}
