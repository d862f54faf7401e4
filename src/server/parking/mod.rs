//! Where idle connections wait: a socket in a list and in an epoll instance of our own, without a task, a timer or a buffer.
//!
//! A connection comes here when it was accepted and has sent nothing yet, and again when it has been idle for `--park-after`.
//! Bytes that come meanwhile stay in the kernel; they make the epoll instance readable, which the worker's event loop watches as one
//! descriptor (epoll(7): an epoll instance may itself be watched). [`queue`] keeps connections in the order in which their idle time
//! ends, so that one timer serves all of them.
//!
//! **Invariant:** nothing of a parked connection was read that was not answered, so that waking it needs no memory of it.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::admission::BareConnection;
use super::readable::watch_epoll;

mod memory;
mod queue;

use memory::Memory;
pub(super) use memory::give_pages_back;
pub(super) use queue::Kind;
use queue::{Key, Queue};

/// Events asked for at once; 12 bytes each.
const BATCH: usize = 512;

/// The resolution of idle times here: 4 bytes then count for years.
const TICK: Duration = Duration::from_millis(100);

/// The parked connections of one worker.
pub(super) struct Parking {
    epoll: AsyncFd<OwnedFd>,
    queue: RefCell<Queue>,
    events: RefCell<Vec<Event>>,
    /// What ticks are counted from.
    epoch: Instant,
    idle_timeout: Duration,
    memory: Memory,
    /// Wakes whoever waits for the first connection to be parked.
    occupied: Notify,
    /// Whether somebody waits for that.
    is_awaited: Cell<bool>,
}

impl Parking {
    pub(super) fn open(idle_timeout: Duration) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self {
            epoll: watch_epoll(epoll)?,
            queue: RefCell::default(),
            events: RefCell::new(Vec::with_capacity(BATCH)),
            epoch: Instant::now(),
            idle_timeout,
            memory: Memory::default(),
            occupied: Notify::new(),
            is_awaited: Cell::new(false),
        })
    }

    /// Parks a connection that has been idle since then; gives it back where the kernel has no memory to watch it.
    pub(super) fn park(
        &self,
        connection: BareConnection,
        kind: Kind,
        idle_since: Instant,
    ) -> Result<(), BareConnection> {
        let mut queue = self.queue.borrow_mut();
        let key = queue.push(connection, kind, self.tick_at(idle_since))?;
        let news = EventFlags::IN | EventFlags::RDHUP;
        let watched = queue.get(key).map(|connection| {
            epoll::add(&self.epoll, &connection.socket, EventData::new_u64(key.into()), news)
        });
        if let Some(Err(_)) = watched
            && let Some(connection) = queue.remove(key)
        {
            return Err(connection);
        }
        if let Some(connection) = queue.get(key) {
            connection.place.note_parked();
        }
        if kind == Kind::Served {
            self.memory.note_released();
        }
        if self.is_awaited.take() {
            self.occupied.notify_one();
        }
        Ok(())
    }

    /// Waits until clients have sent something or left, and hands out `most` of their connections, or some more; says whether clients have
    /// left, as far as is known.
    pub(super) async fn woken(&self, most: usize, mut wake: impl FnMut(BareConnection, bool)) {
        // The runtime's own epoll lives as long as the worker: readiness cannot fail before the worker's end.
        let Ok(mut ready) = self.epoll.readable().await else { return std::future::pending().await };
        let mut events = self.events.borrow_mut();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut handed_out = 0;
        while handed_out < most {
            events.clear();
            // Interrupted, it is asked again.
            let Ok(count) = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&at_once)) else {
                break;
            };
            for event in events.drain(..) {
                let flags = event.flags;
                let has_left = flags.intersects(EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP);
                if let Some(connection) = Key::try_from(event.data.u64()).ok().and_then(|key| self.take(key))
                {
                    wake(connection, has_left);
                }
            }
            if count < BATCH {
                ready.clear_ready();
                return;
            }
            handed_out += count;
        }
        ready.retain_ready();
    }

    /// Takes out the connection that has been idle for longest.
    pub(super) fn take_longest_idle(&self) -> Option<BareConnection> {
        let (key, _) = self.queue.borrow().longest_idle()?;
        self.take(key)
    }

    /// Waits until the idle time of a connection is over, and takes it out.
    pub(super) async fn next_expired(&self) -> BareConnection {
        loop {
            let first = self.queue.borrow().longest_idle();
            match first.map(|(key, tick)| (key, self.epoch + TICK * tick + self.idle_timeout)) {
                None => {
                    self.is_awaited.set(true);
                    self.occupied.notified().await;
                }
                Some((key, due)) if due <= Instant::now() => {
                    if let Some(connection) = self.take(key) {
                        return connection;
                    }
                }
                Some((_, due)) => tokio::time::sleep_until(due).await,
            }
        }
    }

    /// Gives back what served connections needed; does not end.
    pub(super) async fn give_memory_back(&self) {
        self.memory.give_back().await;
    }

    /// Goes through the connections with these keys, each with its kind and since when it is idle; says whether there may be more behind
    /// them.
    pub(super) fn look(&self, keys: Range<usize>, mut see: impl FnMut(&OwnedFd, Kind, Instant)) -> bool {
        let since = |tick: u32| self.epoch + TICK * tick;
        self.queue.borrow().look(keys, |connection, kind, tick| see(&connection.socket, kind, since(tick)))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    fn take(&self, key: Key) -> Option<BareConnection> {
        let connection = self.queue.borrow_mut().remove(key)?;
        // Once out of the list it must not be reported; it is ours and watched, so that this cannot fail.
        let _ = epoll::delete(&self.epoll, &connection.socket);
        connection.place.note_taken_out();
        Some(connection)
    }

    /// Rounded up, so that no idle time is cut short.
    fn tick_at(&self, at: Instant) -> u32 {
        let ticks = at.saturating_duration_since(self.epoch).as_millis().div_ceil(TICK.as_millis());
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}
