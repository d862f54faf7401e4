//! Who may come in: the most connections of a process, and what becomes of one more.
//!
//! A [`Place`] goes with a connection from its accept to its end, parked or served; when it is dropped, another may come.
//!
//! **Invariant:** no more places are out than there are, over all workers of the process.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::shortage::Shortage;
use crate::config::limits::WhenFull;

/// Clients of one worker that are being told at the same time that there is no room, and given time to hear it.
const MOST_REFUSED_AT_ONCE: usize = 32;
/// Descriptors that each worker needs besides connections: epoll instances, a waker, a connection between accept and refusal.
const RESERVE_OF_WORKER: u64 = 8 + MOST_REFUSED_AT_ONCE as u64;
/// Descriptors that the process needs besides: standard streams, signals, the log, files read at start, a margin.
const RESERVE_OF_PROCESS: u64 = 24;
/// How often a full house is spoken of.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What takes descriptors besides clients' connections.
#[derive(Debug, Clone, Copy)]
pub struct Reserve {
    /// Workers of this process.
    pub workers: u32,
    /// Listeners of this process; each is held by its worker, and for the thread that may come after that.
    pub listeners: usize,
    /// Database connections of this process; while one is replaced there are two.
    pub database_connections: u32,
}

impl Reserve {
    /// Descriptors to keep back.
    pub fn descriptors(self) -> u64 {
        RESERVE_OF_PROCESS
            + u64::from(self.workers) * RESERVE_OF_WORKER
            + 2 * self.listeners as u64
            + 2 * u64::from(self.database_connections)
    }
}

/// How many connections a process holds, and may hold.
#[derive(Debug)]
pub(crate) struct Capacity {
    most: usize,
    when_full: WhenFull,
    open: AtomicUsize,
    shortage: Shortage,
}

/// The places that one worker's connections have.
#[derive(Debug)]
pub(super) struct WorkerPlaces {
    capacity: Arc<Capacity>,
    taken: AtomicUsize,
    /// How many of those connections are parked.
    parked: AtomicUsize,
    /// Whether its worker runs, and does not wait to be started again.
    is_at_work: AtomicBool,
}

/// The right to be connected.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<WorkerPlaces>,
}

/// A client's connection outside of any event loop.
#[derive(Debug)]
pub(super) struct BareConnection {
    /// Its socket, non-blocking.
    pub(super) socket: OwnedFd,
    /// What it gives back at its end.
    pub(super) place: Place,
}

/// What came through a listener.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A connection with a place.
    Admitted(BareConnection),
    /// One more than there are places for.
    Surplus(OwnedFd),
}

impl Capacity {
    pub(crate) fn new(most: usize, when_full: WhenFull) -> Arc<Self> {
        Arc::new(Self { most, when_full, open: AtomicUsize::new(0), shortage: Shortage::default() })
    }

    /// Whether memory is short.
    pub(crate) fn shortage(&self) -> &Shortage {
        &self.shortage
    }

    /// What to do with a connection more. One that waits costs memory too.
    pub(super) fn when_full(&self) -> WhenFull {
        if self.shortage.is_short() { WhenFull::Refuse } else { self.when_full }
    }

    /// Whether the next one would be one too many.
    pub(super) fn is_full(&self) -> bool {
        self.shortage.is_short() || self.open.load(Ordering::Relaxed) >= self.most
    }

    /// Counts one more in, if there is room.
    fn enter(&self) -> bool {
        if self.shortage.is_short() {
            return false;
        }
        // Counted before it is known whether there is room, so that two workers cannot take the last place both.
        if self.open.fetch_add(1, Ordering::Relaxed) < self.most {
            return true;
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        false
    }
}

impl WorkerPlaces {
    pub(super) fn new(capacity: Arc<Capacity>) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            taken: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
            is_at_work: AtomicBool::new(true),
        })
    }

    /// What the process has room for.
    pub(super) fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// A worker begins: nothing is parked with it, whatever the one before took along.
    pub(super) fn begin(&self) {
        self.parked.store(0, Ordering::Relaxed);
        self.is_at_work.store(true, Ordering::Relaxed);
    }

    /// It has ended, and may be followed by another.
    pub(super) fn end(&self) {
        self.is_at_work.store(false, Ordering::Relaxed);
    }

    /// Whether its worker runs.
    pub(super) fn is_at_work(&self) -> bool {
        self.is_at_work.load(Ordering::Relaxed)
    }

    /// Connections of this worker, those on their way to it included.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Those of them that are parked, and could make room.
    pub(super) fn parked(&self) -> usize {
        self.parked.load(Ordering::Relaxed)
    }

    /// A place, if one is free.
    fn enter(self: &Arc<Self>) -> Option<Place> {
        self.capacity.enter().then(|| {
            self.taken.fetch_add(1, Ordering::Relaxed);
            Place { of: Arc::clone(self) }
        })
    }

    /// Gives an accepted socket a place, if one is free.
    pub(super) fn admit(self: &Arc<Self>, socket: OwnedFd) -> Arrival {
        match self.enter() {
            Some(place) => Arrival::Admitted(BareConnection { socket, place }),
            None => Arrival::Surplus(socket),
        }
    }
}

impl Place {
    /// Its connection was parked.
    pub(super) fn note_parked(&self) {
        self.of.parked.fetch_add(1, Ordering::Relaxed);
    }

    /// Its connection is parked no longer.
    pub(super) fn note_taken_out(&self) {
        self.of.parked.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.taken.fetch_sub(1, Ordering::Relaxed);
        self.of.capacity.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one acceptor says and does about a full house.
#[derive(Debug, Default)]
pub(super) struct FullHouse {
    said: Cell<Option<Instant>>,
    chairs_taken: Rc<Cell<usize>>,
}

/// The time and memory that a client is given to hear that there is no room.
#[derive(Debug)]
pub(super) struct Chair {
    taken: Rc<Cell<usize>>,
}

impl FullHouse {
    /// Notes a connection that was refused, kept waiting, or let in for another, and says so unless it was said just now. Of memory whoever
    /// watches it has spoken.
    pub(super) fn note(&self, capacity: &Capacity) {
        let now = Instant::now();
        if capacity.shortage.is_short() {
            return;
        }
        if self.said.get().is_some_and(|at| now.duration_since(at) < SAY_EVERY) {
            return;
        }
        self.said.set(Some(now));
        let what = match capacity.when_full {
            WhenFull::Refuse => "new ones are answered with 503",
            WhenFull::Wait => "new ones wait in the backlog",
            WhenFull::Evict => "the longest idle ones make room for new ones",
        };
        tracing::warn!("all {} connections of --max-connections are taken: {what}", capacity.most);
    }

    /// A chair, if one is free.
    pub(super) fn chair(&self) -> Option<Chair> {
        let taken = self.chairs_taken.get();
        (taken < MOST_REFUSED_AT_ONCE).then(|| {
            self.chairs_taken.set(taken + 1);
            Chair { taken: Rc::clone(&self.chairs_taken) }
        })
    }
}

impl Drop for Chair {
    fn drop(&mut self) {
        self.taken.set(self.taken.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_places_are_given_than_there_are_and_each_comes_back() {
        let capacity = Capacity::new(2, WhenFull::Refuse);
        let workers = [(); 2].map(|()| WorkerPlaces::new(Arc::clone(&capacity)));
        let first = workers[0].enter();
        let second = workers[1].enter();
        assert!(first.is_some() && second.is_some() && capacity.is_full());
        assert!(workers.iter().all(|worker| worker.taken() == 1 && worker.enter().is_none()));
        drop(first);
        assert!(!capacity.is_full());
        assert_eq!(workers.each_ref().map(|worker| worker.taken()), [0, 1]);
        assert!(workers[1].enter().is_some());
    }

    #[test]
    fn the_reserve_grows_with_all_that_takes_descriptors() {
        let small = Reserve { workers: 1, listeners: 1, database_connections: 1 };
        let large = Reserve { workers: 2, listeners: 4, database_connections: 8 };
        assert_eq!(small.descriptors(), 24 + 40 + 2 + 2);
        assert_eq!(large.descriptors(), 24 + 80 + 8 + 16);
    }

    #[test]
    fn chairs_are_given_back() {
        let house = FullHouse::default();
        let chairs: Vec<Option<Chair>> = (0..=MOST_REFUSED_AT_ONCE).map(|_| house.chair()).collect();
        assert_eq!(chairs.iter().flatten().count(), MOST_REFUSED_AT_ONCE);
        drop(chairs);
        assert!(house.chair().is_some());
    }
}
