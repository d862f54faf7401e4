//! What holds of any bytes that come from where PostgreSQL should be: each message goes to whoever asked, or the connection ends.
//!
//! **Invariant:** the model reads the bytes once, whole and in order; it knows nothing of buffers or of who polls when.

use std::future::Future;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::UnixStream;

use super::{Pipeline, Rows, Socket, Wire};
use crate::database::error::Refusal;

/// Bytes that a Unix socket takes without a reader.
const MOST_BYTES: usize = 32 * 1024;
/// The driver's Sync.
const SYNC: &[u8] = b"S\0\0\0\x04";

/// Who asked, and for a batch how many answers it awaits.
#[derive(Debug, Clone, Copy)]
enum Asker {
    Driver,
    Batch(u32),
}

/// What became of the bytes.
#[derive(Debug, Default)]
struct Outcome {
    driver: Vec<u8>,
    /// For each batch the number of its rows, where all of it came without an error.
    batches: Vec<Option<usize>>,
    /// Whether the bytes were refused.
    is_broken: bool,
}

/// The first byte says who asks, two bits each, the second how much the driver takes in one read; the rest is what comes.
///
/// # Panics
/// Where somebody gets what the model does not give.
pub(crate) fn check_answers(bytes: &[u8]) {
    let [script, room, stream @ ..] = bytes else { return };
    let stream = &stream[..stream.len().min(MOST_BYTES)];
    let askers: Vec<Asker> = (0..4)
        .map(|at| match (script >> (2 * at)) & 3 {
            0 => Asker::Driver,
            queries => Asker::Batch(queries.into()),
        })
        .collect();
    let (expected, found) = (modelled(&askers, stream), read(&askers, stream, usize::from(*room) + 1));
    assert_eq!(found.is_broken, expected.is_broken, "refused or not");
    assert_eq!(found.batches, expected.batches, "rows of the batches");
    // What is refused may take with it what the driver has not fetched yet.
    assert!(expected.driver.starts_with(&found.driver), "bytes that are not the driver's");
    assert!(found.is_broken || found.driver.len() == expected.driver.len(), "bytes that the driver misses");
}

fn modelled(askers: &[Asker], stream: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut waiting = askers.iter();
    let mut now = waiting.next().copied();
    let (mut rows, mut is_refused, mut rest) = (0, false, stream);
    while let [tag, a, b, c, d, ..] = rest {
        let Some(length) = usize::try_from(i32::from_be_bytes([*a, *b, *c, *d])).ok().filter(|at| *at >= 4)
        else {
            outcome.is_broken = true;
            break;
        };
        let Some((message, after)) = rest.split_at_checked(length + 1) else { break };
        rest = after;
        match (now, tag) {
            (Some(Asker::Batch(_)), b'N' | b'A' | b'S') | (None | Some(Asker::Driver), _) => {
                outcome.driver.extend_from_slice(message);
                if *tag == b'Z' && matches!(now, Some(Asker::Driver)) {
                    now = waiting.next().copied();
                }
            }
            (Some(Asker::Batch(left)), b'Z') if left > 1 => now = Some(Asker::Batch(left - 1)),
            (Some(Asker::Batch(_)), b'Z') => {
                outcome.batches.push((!is_refused).then_some(rows));
                (rows, is_refused) = (0, false);
                now = waiting.next().copied();
            }
            (Some(Asker::Batch(_)), b'D') => rows += 1,
            (Some(Asker::Batch(_)), b'E') if Refusal::parse(message).is_ok() => is_refused = true,
            (Some(Asker::Batch(_)), b'1' | b'2' | b'C' | b'I') => {}
            (Some(Asker::Batch(_)), _) => {
                outcome.is_broken = true;
                break;
            }
        }
    }
    let all = askers.iter().filter(|asker| matches!(asker, Asker::Batch(_))).count();
    outcome.batches.resize(all, None);
    outcome
}

fn read(askers: &[Asker], stream: &[u8], room: usize) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let Ok(runtime) = runtime else { panic!("no runtime") };
    runtime.block_on(async {
        let (ours, mut postgresql) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("a socket that does not block");
        postgresql.write_all(stream).expect("room for all bytes");
        drop(postgresql);
        let ours = UnixStream::from_std(ours).expect("a socket of the runtime's");
        let mut wire = Wire::new(Socket::Unix(ours), true);
        let pipeline = wire.pipeline();
        pipeline.share();
        let mut replies = Vec::new();
        for asker in askers {
            match asker {
                Asker::Driver => {
                    let mut cx = Context::from_waker(Waker::noop());
                    let written = Pin::new(&mut wire).poll_write(&mut cx, SYNC);
                    assert!(matches!(written, Poll::Ready(Ok(5))), "the driver's question was not taken");
                }
                Asker::Batch(queries) => replies.push(ask(&pipeline, *queries)),
            }
        }
        let (driver, is_broken) = drain(&mut wire, room).await;
        drop(wire);
        let mut batches = Vec::new();
        for reply in replies {
            batches.push(reply.await.map(|rows| check_rows(&rows)));
        }
        Outcome { driver, batches, is_broken }
    })
}

fn ask(pipeline: &Pipeline, queries: u32) -> impl Future<Output = Option<Rows>> + use<> {
    let queries = NonZeroU32::new(queries).unwrap_or(NonZeroU32::MIN);
    let reply = pipeline.ask(queries, 0, |_| {});
    async { reply.ok()?.await.ok() }
}

/// Reads as the driver does, to the end.
async fn drain(wire: &mut Wire, room: usize) -> (Vec<u8>, bool) {
    let (mut driver, mut into) = (Vec::new(), vec![0; room]);
    loop {
        let mut buffer = ReadBuf::new(&mut into);
        let read = std::future::poll_fn(|cx| Pin::new(&mut *wire).poll_read(cx, &mut buffer)).await;
        match (read, buffer.filled()) {
            (Err(_), _) => return (driver, true),
            (Ok(()), []) => return (driver, false),
            (Ok(()), more) => driver.extend_from_slice(more),
        }
    }
}

/// Reads each row in both ways; what it holds is whoever's affair that sent it.
fn check_rows(rows: &Rows) -> usize {
    let mut count = 0;
    for row in rows.iter() {
        let (mut numbers, mut texts) = (row, row);
        while numbers.int4().is_ok() {}
        while texts.text().is_ok() {}
        count += 1;
    }
    assert_eq!(count, rows.len(), "rows that cannot be found again");
    count
}
