//! Step 2 of 7 with `--accept handoff`: one acceptor gives each connection to the worker that has the fewest.
//!
//! It has a thread and an event loop of its own; a connection crosses to its worker once, as a bare socket, and stays there.
//!
//! **Invariant:** an acceptor ends when it was told to stop, after the backlogs; its workers' queues end with it, and hold no more
//! than [`MOST_QUEUED`] connections each.
//!
//! Before: [`super::socket`]. After: [`super::worker`].

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};

use super::accept::{self, Host};
use super::admission::{Arrival, Capacity, FullHouse, WorkerPlaces};
use super::heartbeat::Beat;
use super::readable::watch_listener;
use super::stop::Stop;
use crate::config::limits::WhenFull;
use crate::telemetry::counters::WorkerCounters;

/// Connections on their way to one worker; past that they wait in the backlog.
const MOST_QUEUED: usize = 4096;

/// The same where they have no place, each on one of the descriptors that are kept back for clients to be refused.
const MOST_SURPLUS: usize = 32;

/// A worker as the acceptor sees it.
struct Recipient {
    places: Arc<WorkerPlaces>,
    queue: mpsc::Sender<Arrival>,
}

/// Takes connections for the workers of one process.
pub(super) struct Acceptor {
    capacity: Arc<Capacity>,
    counters: Arc<WorkerCounters>,
    recipients: Vec<Recipient>,
}

/// An acceptor on its own thread.
struct Running {
    capacity: Arc<Capacity>,
    /// Of the first worker, whose errors are the acceptor's: it accepts nothing itself, so that the acceptor is the one who writes them.
    counters: Arc<WorkerCounters>,
    recipients: Vec<Recipient>,
    full_house: FullHouse,
}

impl Acceptor {
    /// Makes one, and for each worker the end of its queue.
    pub(super) fn new(
        capacity: Arc<Capacity>,
        counters: Arc<WorkerCounters>,
        places: &[Arc<WorkerPlaces>],
    ) -> (Self, Vec<mpsc::Receiver<Arrival>>) {
        let (recipients, queues) = places
            .iter()
            .map(|places| {
                let (queue, taken) = mpsc::channel(MOST_QUEUED);
                (Recipient { places: Arc::clone(places), queue }, taken)
            })
            .unzip();
        (Self { capacity, counters, recipients }, queues)
    }

    /// Accepts until it is told to stop; says when it begins.
    pub(super) fn run(
        self,
        listeners: Vec<TcpListener>,
        mut stop: watch::Receiver<Stop>,
        beat: Arc<Beat>,
        tell_ready: impl FnOnce(),
    ) -> Result<(), String> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .map_err(|error| format!("its event loop cannot be made: {error}"))?;
        let Self { capacity, counters, recipients } = self;
        let acceptor = Running { capacity, counters, recipients, full_house: FullHouse::default() };
        runtime.block_on(async {
            tokio::task::spawn_local(beat.answer());
            let mut loops = Vec::with_capacity(listeners.len());
            for listener in listeners {
                let listener = watch_listener(listener)
                    .map_err(|error| format!("its listener cannot be watched: {error}"))?;
                loops.push(accept::accept(listener, &acceptor, stop.clone()));
            }
            tell_ready();
            tokio::select! {
                // At once means at once: the loops would hear of a stop in the same turn, and begin to close.
                biased;
                _ = stop.wait_for(|stop| *stop == Stop::Now) => {}
                _ = futures_util::future::join_all(loops) => {}
            }
            Ok(())
        })
    }
}

impl Running {
    /// The worker for one more connection: the one with the fewest, among those whose queue has room. One connection too many goes to
    /// whom it can do most good: where others may be closed for it, to the one with the most that are idle. One that waits to be
    /// started again gets some only where all do.
    fn recipient(&self) -> Option<&Recipient> {
        let is_any_at_work = self.recipients.iter().any(|recipient| recipient.places.is_at_work());
        let open = self.recipients.iter().filter(|recipient| {
            recipient.queue.capacity() > 0 && (!is_any_at_work || recipient.places.is_at_work())
        });
        if self.capacity.is_full() && self.capacity.when_full() == WhenFull::Evict {
            open.max_by_key(|recipient| recipient.places.parked())
        } else {
            open.min_by_key(|recipient| recipient.places.taken())
        }
    }
}

impl Host for Running {
    fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    fn is_ready(&self) -> bool {
        // Without places they would queue on descriptors that are kept for other things.
        let surplus = |recipient: &Recipient| {
            self.capacity.is_full() && MOST_QUEUED - recipient.queue.capacity() >= MOST_SURPLUS
        };
        self.recipient().is_some_and(|recipient| !surplus(recipient))
    }

    fn receive(&self, socket: OwnedFd) -> Result<(), OwnedFd> {
        let Some(recipient) = self.recipient() else { return Err(socket) };
        let arrival = match recipient.places.admit(socket) {
            Arrival::Surplus(socket) if self.capacity.when_full() == WhenFull::Wait => return Err(socket),
            arrival => arrival,
        };
        // Its queue is closed only where it will not be started again; what was for it ends here.
        let _ = recipient.queue.try_send(arrival);
        Ok(())
    }

    /// Idle connections are the workers', who are not asked for their descriptors.
    fn make_room(&self) -> bool {
        false
    }

    fn note_full(&self) {
        self.full_house.note(&self.capacity);
    }

    fn note_accept_error(&self) {
        self.counters.accept_errors.note();
    }
}
