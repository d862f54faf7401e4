//! Between accept, parking and serving: what a worker does with a connection that came, woke up, or fell idle.
//!
//! A connection is either parked or served by a task of its own, and goes from one to the other as its client falls silent and
//! speaks again.
//!
//! **Invariant:** a connection's place is given up when its socket is closed, and not before.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use super::accept::Host;
use super::admission::{Arrival, BareConnection, Capacity, Chair, Place};
use super::connection::{self, ConnectionState, Refusal};
use super::parking::Kind;
use super::stop::Phase;
use super::worker::Worker;
use crate::config::limits::WhenFull;
use crate::telemetry::labels::{CloseReason, Route};
use crate::telemetry::panics;

/// Served connections of one worker past which idle ones are parked without delay: together they take some 200 MB.
pub(super) const CROWD: usize = 8192;

/// Connections woken in a turn, at the least; else as many as are served, so that neither wait for the others.
const LEAST_WOKEN: usize = 512;

/// Served connections of one worker past which no other is woken while memory is short.
const MOST_SERVED_WHEN_SHORT: usize = 256;

/// How long to rest before it is looked again whether there are fewer.
const REST_WHEN_SHORT: Duration = Duration::from_millis(20);

/// Connections that have spoken since and are passed over for one that can be spared.
const MOST_PASSED_OVER: usize = 64;

impl Host for Rc<Worker> {
    fn capacity(&self) -> &Capacity {
        self.places.capacity()
    }

    fn receive(&self, socket: OwnedFd) -> Result<(), OwnedFd> {
        match self.places.admit(socket) {
            Arrival::Surplus(socket) if self.capacity().when_full() == WhenFull::Wait => Err(socket),
            arrival => {
                self.take_in(arrival);
                Ok(())
            }
        }
    }

    fn make_room(&self) -> bool {
        let spared = self.take_spare();
        if spared.is_some() {
            self.note_close(CloseReason::Evicted);
        }
        spared.is_some()
    }

    fn note_full(&self) {
        self.full_house.note(self.places.capacity());
    }

    fn note_accept_error(&self) {
        self.context.counters.accept_errors.note();
    }
}

impl Worker {
    /// Takes what came, with a place or without.
    fn take_in(self: &Rc<Self>, arrival: Arrival) {
        self.context.counters.accepted.note();
        match arrival {
            Arrival::Admitted(connection) => self.admit(connection),
            Arrival::Surplus(socket) => {
                self.note_full();
                self.receive_surplus(socket);
            }
        }
    }

    /// Takes what an acceptor sends, until that ends.
    pub(super) async fn take_from(self: &Rc<Self>, queue: Arc<Mutex<mpsc::Receiver<Arrival>>>) {
        // Held for as long as the worker's thread lives; nobody else waits for it meanwhile.
        let mut queue = queue.lock().await;
        while let Some(arrival) = queue.recv().await {
            self.take_in(arrival);
        }
    }

    /// Parks a new connection, unless its client has sent something already.
    fn admit(self: &Rc<Self>, connection: BareConnection) {
        if self.phase.get() != Phase::Serving || has_news(&connection.socket) {
            self.serve(connection);
        } else {
            self.park(connection, Kind::New, Instant::now());
        }
    }

    /// One connection more than there are places: the longest idle one makes room, or it is refused.
    fn receive_surplus(self: &Rc<Self>, socket: OwnedFd) {
        if self.places.capacity().when_full() == WhenFull::Evict
            && let Some(BareConnection { socket: spared, place }) = self.take_spare()
        {
            drop(spared);
            self.note_close(CloseReason::Evicted);
            // With the place of the other, which nobody else can take in between.
            self.admit(BareConnection { socket, place });
            return;
        }
        let (refusal, reason) = if self.has_no_memory() {
            (Refusal::NoMemory, CloseReason::Memory)
        } else {
            (Refusal::NoRoom, CloseReason::Full)
        };
        let Some(chair) = self.full_house.chair() else {
            self.refuse_in_haste(&socket, refusal);
            self.note_close(reason);
            return;
        };
        let state = Rc::new(ConnectionState::refused(Instant::now(), refusal));
        self.start(socket, state, Leave::Chair(chair, reason));
    }

    /// Whether an idle connection is parked in the turn in which it falls idle.
    pub(super) fn parks_at_once(&self) -> bool {
        let at_once = self.limits.park_after.is_zero() || self.connections.borrow().len() > self.crowd.get();
        at_once && self.phase.get() == Phase::Serving
    }

    /// Takes the connection that has been idle for longest; those on the way whose clients have spoken just now are served.
    pub(super) fn take_spare(self: &Rc<Self>) -> Option<BareConnection> {
        for _ in 0..MOST_PASSED_OVER {
            let connection = self.parking.take_longest_idle()?;
            if !has_news(&connection.socket) {
                return Some(connection);
            }
            self.serve(connection);
        }
        None
    }

    /// Answers 503 and closes at once. A client that has sent its request and not read the answer yet may find the connection reset
    /// (RFC 9112, section 9.6); with this many refused at once there is no better to be had.
    fn refuse_in_haste(&self, socket: &OwnedFd, refusal: Refusal) {
        let answer = refusal.render(&self.context.date.value());
        let sent = send(socket, &answer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        let counters = &self.context.counters;
        counters.note_answer(Route::Unframed, refusal.code());
        counters.bytes_out.add(sent.unwrap_or_default() as u64);
        let _ = shutdown(socket, Shutdown::Write);
        let read = recv(socket, &mut **self.scratch.borrow_mut(), RecvFlags::DONTWAIT);
        counters.bytes_in.add(read.map_or(0, |(read, _)| read as u64));
    }

    /// Whether memory is short.
    pub(super) fn has_no_memory(&self) -> bool {
        self.places.capacity().shortage().is_short()
    }

    /// Starts a task that serves the connection until it ends or falls idle.
    fn serve(self: &Rc<Self>, connection: BareConnection) {
        let BareConnection { socket, place } = connection;
        self.start(socket, Rc::new(ConnectionState::new(Instant::now())), Leave::Place(place));
    }

    fn start(self: &Rc<Self>, socket: OwnedFd, state: Rc<ConnectionState>, leave: Leave) {
        let key = self.connections.borrow_mut().insert(Rc::clone(&state));
        // Unless it says otherwise: a task that is cut off is so at the worker's end.
        let mut seat = Seat { worker: Rc::clone(self), key, closed: Some(CloseReason::Drain) };
        tokio::task::spawn_local(async move {
            let Ok(stream) = TcpStream::from_std(socket.into()) else {
                seat.closed = Some(CloseReason::Full);
                return drop(seat);
            };
            let end = connection::run(stream, Rc::clone(&seat.worker), Rc::clone(&state)).await;
            seat.closed = end.as_ref().err().copied();
            match (end, leave) {
                (Ok(socket), Leave::Place(place)) => {
                    seat.worker.park(BareConnection { socket, place }, Kind::Served, state.idle_since());
                }
                (_, Leave::Chair(chair, reason)) => {
                    seat.closed = Some(reason);
                    drop(chair);
                }
                (Err(_), Leave::Place(place)) => drop(place),
            }
            drop(seat);
        });
    }

    fn park(self: &Rc<Self>, connection: BareConnection, kind: Kind, idle_since: Instant) {
        match self.parking.park(connection, kind, idle_since) {
            // The kernel has no memory to watch it. One that is new gets its chance all the same; an idle one may be closed at any time.
            Err(connection) if kind == Kind::New => self.serve(connection),
            Err(_) => self.note_close(CloseReason::Evicted),
            Ok(()) => {}
        }
    }

    /// A connection that nobody serves was closed.
    fn note_close(&self, reason: CloseReason) {
        self.context.counters.note_close(reason);
    }

    /// Serves parked connections again as their clients speak; does not end.
    pub(super) async fn wake_parked(self: Rc<Self>) {
        loop {
            // What they have sent stays in the kernel meanwhile.
            while self.has_no_memory() && self.connections.borrow().len() > MOST_SERVED_WHEN_SHORT {
                tokio::time::sleep(REST_WHEN_SHORT).await;
            }
            let most = LEAST_WOKEN.max(self.connections.borrow().len());
            self.parking
                .woken(most, |connection, has_left| {
                    // Nothing more comes from a client that has closed its side, unless it is here already.
                    if has_left && is_over(&connection.socket) {
                        self.note_close(CloseReason::Client);
                    } else {
                        self.serve(connection);
                    }
                })
                .await;
            self.tell_if_empty();
            tokio::task::yield_now().await;
        }
    }

    /// Closes parked connections when their idle time is over; does not end.
    pub(super) async fn expire_parked(self: Rc<Self>) {
        loop {
            let connection = self.parking.next_expired().await;
            if has_news(&connection.socket) {
                self.serve(connection);
            } else {
                drop(connection);
                self.note_close(CloseReason::Idle);
                self.tell_if_empty();
            }
            // A crowd that came together leaves together; those that are served are not kept waiting for it.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Gives back what connections needed before they were parked; does not end.
    pub(super) async fn give_memory_back(self: Rc<Self>) {
        self.parking.give_memory_back().await;
    }

    /// Closes what is parked at the end of a drain's grace, but serves those whose clients have spoken in the last moment.
    pub(super) async fn close_parked(self: &Rc<Self>) {
        while let Some(connection) = self.parking.take_longest_idle() {
            if has_news(&connection.socket) {
                self.serve(connection);
            } else {
                drop(connection);
                self.note_close(CloseReason::Drain);
            }
            tokio::task::coop::consume_budget().await;
        }
        self.tell_if_empty();
    }
}

/// What a connection's task holds until it ends.
enum Leave {
    /// To be connected, served or parked.
    Place(Place),
    /// To be told that there is no place, and why.
    Chair(Chair, CloseReason),
}

/// Whether bytes are there, or the end.
fn has_news(socket: &OwnedFd) -> bool {
    recv(socket, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) != Err(rustix::io::Errno::AGAIN)
}

/// Whether the client has ended, and nothing that it sent before is left to be read.
fn is_over(socket: &OwnedFd) -> bool {
    match recv(socket, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((unread, _)) => unread == 0,
        Err(errno) => errno != rustix::io::Errno::AGAIN,
    }
}

/// A served connection's place among its worker's, given up however the task ends.
struct Seat {
    worker: Rc<Worker>,
    key: usize,
    /// Why its connection was closed, unless it goes on.
    closed: Option<CloseReason>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            panics::contain(&self.worker.context.counters);
            self.closed = Some(CloseReason::Panicked);
        }
        self.worker.connections.borrow_mut().remove(self.key);
        if let Some(reason) = self.closed {
            self.worker.note_close(reason);
        }
        self.worker.tell_if_empty();
    }
}
