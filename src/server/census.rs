//! Lists a worker's connections for whoever asks, on the worker's own thread and in parts, so that requests go on meanwhile.
//!
//! **Invariant:** one listing at a time, and no more than [`PART`] connections in a turn.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;

use rustix::net::getpeername;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use super::parking::Kind;
use super::view::Question;
use super::worker::Worker;
use crate::telemetry::labels::ConnectionState as Label;
use crate::telemetry::listing::{Listing, Seen, Tally};

/// Connections gone through in a turn: about half a millisecond, most of which the kernel needs to say whose they are.
const PART: usize = 1_024;

impl Worker {
    /// Answers those who want to know the connections; ends when nobody can ask any more.
    pub(super) async fn list_connections(
        self: Rc<Self>,
        index: u32,
        questions: Arc<Mutex<mpsc::Receiver<Question>>>,
    ) {
        // Held for as long as the worker's thread lives; nobody else waits for it meanwhile.
        let mut questions = questions.lock().await;
        while let Some(Question { filter, until, mut answer }) = questions.recv().await {
            let tally = Tally::new(&filter, std::process::id(), index);
            tokio::select! {
                biased;
                () = answer.closed() => {}
                listing = self.go_through(tally, until) => {
                    // Whoever asked may have lost patience.
                    let _ = answer.send(listing);
                }
            }
        }
    }

    /// Those that come, go or wake meanwhile are counted as they are met, some not at all and some twice. What was not come to when the
    /// time is over is left out, and the listing says so.
    async fn go_through(&self, mut tally: Tally, until: Instant) -> Listing {
        let mut from = 0;
        while from < self.connections.borrow().capacity() {
            self.see_served(from, &mut tally);
            from += PART;
            if Instant::now() >= until {
                return tally.break_off();
            }
            tokio::task::yield_now().await;
        }
        let mut from = 0;
        while self.see_parked(from, &mut tally) {
            from += PART;
            if Instant::now() >= until {
                return tally.break_off();
            }
            tokio::task::yield_now().await;
        }
        tally.finish()
    }

    fn see_served(&self, from: usize, tally: &mut Tally) {
        let (now, connections) = (Instant::now(), self.connections.borrow());
        for state in (from..from + PART).filter_map(|key| connections.get(key)) {
            tally.see(state.see(now), || state.peer());
        }
    }

    fn see_parked(&self, from: usize, tally: &mut Tally) -> bool {
        let now = Instant::now();
        self.parking.look(from..from + PART, |socket, kind, since| {
            let state = match kind {
                Kind::New => Label::New,
                Kind::Served => Label::Parked,
            };
            let idle_s = now.saturating_duration_since(since).as_secs_f64();
            tally.see(Seen { state, idle_s, requests: None }, || peer_of(socket));
        })
    }
}

/// The client's address, while the kernel knows it.
pub(super) fn peer_of(socket: impl AsFd) -> Option<SocketAddr> {
    getpeername(socket).ok()??.try_into().ok()
}
