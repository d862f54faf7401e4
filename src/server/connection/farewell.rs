//! The end of a connection: the last word, where there is one, and the wait for the client to hear it.
//!
//! **Invariant:** a socket with unread bytes is not closed at once on a client that we answered last: that would reset the
//! connection and could destroy the answer on its way (RFC 9112, section 9.6).

use std::io;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::Client;
use super::guard::read;
use crate::telemetry::labels::Route;

/// Bytes that are read and thrown away while we wait for the client to notice the end.
const MOST_LINGERED: usize = 16 * 1024 * 1024;

/// How far the end of the connection has come.
#[derive(Default)]
pub(super) enum Farewell {
    #[default]
    NotYet,
    Refusing {
        response: Vec<u8>,
        sent: usize,
    },
    Lingering {
        thrown_away: usize,
    },
    Done,
}

impl Client {
    /// Says the last word, if there is one, and waits for the client to hear it. Once that is done it is ready at once.
    pub(super) fn say_farewell(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, worker, state, .. } = self;
        let mut farewell = self.farewell.borrow_mut();
        loop {
            match &mut *farewell {
                Farewell::NotYet => {
                    let refusal = state.refusal().map(|refusal| {
                        worker.context.counters.note_answer(Route::Unframed, refusal.code());
                        refusal.render(&worker.context.date.value())
                    });
                    *farewell = Farewell::Refusing { response: refusal.unwrap_or_default(), sent: 0 };
                }
                Farewell::Refusing { response, sent } => {
                    while *sent < response.len() {
                        *sent += ready!(self.send(cx, &response[*sent..]))?;
                    }
                    ready!(self.shut_down(cx))?;
                    *farewell = if state.ends_by_us() && state.may_linger() {
                        state.linger(Instant::now());
                        Farewell::Lingering { thrown_away: 0 }
                    } else {
                        Farewell::Done
                    };
                }
                Farewell::Lingering { thrown_away } => {
                    let mut scratch = worker.scratch.borrow_mut();
                    let read = ready!(read(&mut stream.borrow_mut(), cx, &mut scratch)?);
                    worker.context.counters.bytes_in.add(read as u64);
                    *thrown_away += read;
                    if read == 0 || *thrown_away > MOST_LINGERED {
                        *farewell = Farewell::Done;
                    }
                }
                Farewell::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}
