//! Opening connections, and what becomes of those that end.
//!
//! **Invariant:** a connection that could not be opened is never tried again at once: after a rest, or where connections are only held
//! not at all.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use super::super::schedule::SECOND;
use super::super::stats::Failure;
use super::connection::{Flight, Life};
use super::{Engine, Offer, number};

/// Connections begun before the loop looks for events again.
const BEGUN_AT_ONCE: usize = 256;
/// How long a connection rests that could not be opened.
const REST: u64 = SECOND / 10;
/// Near ends tried for one connection: others may have some of our ports.
const TRIES: usize = 256;

impl Engine {
    /// Whether connections are opened in this phase at all.
    pub(super) fn opens(&self) -> bool {
        self.phase.ramp.is_some() || self.phase.reopen
    }

    /// Opens what is due to be opened.
    pub(super) fn open_due(&mut self, now: u64) {
        if !self.opens() || !self.phase.stop.allows(now) {
            return;
        }
        for _ in 0..BEGUN_AT_ONCE {
            if self.fresh == self.connections.len() {
                break;
            }
            if let Some(beat) = &mut self.phase.ramp
                && beat.take(now).is_none()
            {
                break;
            }
            let slot = self.fresh;
            self.fresh += 1;
            self.connect(slot, now);
        }
        for _ in 0..self.to_open.len() {
            let Some(slot) = self.to_open.pop_front() else { break };
            self.connect(slot as usize, now);
        }
        while let Some(&(moment, slot)) = self.resting.front()
            && moment <= now
        {
            self.resting.pop_front();
            self.connect(slot as usize, now);
        }
    }

    fn connect(&mut self, slot: usize, now: u64) {
        let mut tries = 0;
        let (socket, destination) = loop {
            tries += 1;
            let (source, destination) = self.setup.ends.next();
            match begin(source, self.setup.destinations[destination].address) {
                Ok(socket) => break (socket, destination),
                Err(error) if source.is_some() && tries < TRIES && is_taken(&error) => {}
                Err(error) => return self.could_not_open(slot, Failure::of(&error, true), now),
            }
        };
        let connection = &mut self.connections[slot];
        connection.start(socket, destination);
        self.flights.begin(slot, now);
        let token = u64::from(connection.generation) << 32 | u64::from(number(slot));
        let watched = connection.socket.as_ref().map_or(Ok(()), |socket| self.poll.add(socket, token));
        self.connecting += 1;
        if let Err(error) = watched {
            self.fail(slot, Failure::of(&error, true), now);
        }
    }

    /// A socket that was connecting is writable, or failed.
    pub(super) fn connected(&mut self, slot: usize, now: u64) {
        let connection = &mut self.connections[slot];
        let error = connection.socket.as_ref().map_or(Ok(None), Socket::take_error);
        if let Ok(Some(error)) | Err(error) = error {
            return self.fail(slot, Failure::of(&error, true), now);
        }
        connection.life = Life::Open;
        self.connecting -= 1;
        self.open += 1;
        self.stats.opened += 1;
        if self.phase.offer != Offer::Never {
            self.offer(slot);
        }
    }

    /// Ends a connection and counts what was outstanding on it as failed.
    pub(super) fn fail(&mut self, slot: usize, failure: Failure, now: u64) {
        if self.connections[slot].life == Life::Connecting {
            self.connections[slot].close();
            self.connecting -= 1;
            return self.could_not_open(slot, failure, now);
        }
        let from = self.phase.stop.counted_from;
        while let Some(Flight { intended, sent }) = self.flights.pop(slot, &mut self.connections[slot]) {
            self.in_flight -= 1;
            self.stats.wait(self.phase.stop.part_within(sent, now));
            self.stats.fail(failure, u64::from(intended >= from));
        }
        self.end(slot);
    }

    /// A connection that could not be opened stands for a request: a run for a number of them must end before a server that is gone.
    fn could_not_open(&mut self, slot: usize, failure: Failure, now: u64) {
        if now >= self.phase.stop.counted_from {
            self.stats.fail(failure, 1);
        }
        self.phase.stop.count(now);
        if self.phase.reopen {
            self.resting.push_back((now + REST, number(slot)));
        }
    }

    /// The server ended a connection, in good order.
    pub(super) fn end_by_server(&mut self, slot: usize, was_idle: bool) {
        // What was sent behind the last answer was not processed (RFC 9112, section 9.6), and is asked again elsewhere.
        while let Some(Flight { intended, .. }) = self.flights.pop(slot, &mut self.connections[slot]) {
            self.in_flight -= 1;
            self.phase.stop.give_back(intended);
            self.again.push_back(intended);
        }
        self.stats.closed_idle += u64::from(was_idle);
        self.end(slot);
    }

    fn end(&mut self, slot: usize) {
        self.connections[slot].close();
        self.open -= 1;
        if self.phase.reopen {
            self.to_open.push_back(number(slot));
        }
    }

    /// Ends connections on which something takes longer than it may.
    pub(super) fn give_up_late(&mut self, now: u64) {
        let timeout = u64::try_from(self.setup.timeout.as_nanos()).unwrap_or(u64::MAX);
        for slot in 0..self.fresh {
            let connection = &self.connections[slot];
            let since = match connection.life {
                Life::Closed => None,
                Life::Connecting => Some(self.flights.began(slot)),
                Life::Open => self.flights.oldest(slot, connection).map(|flight| flight.sent),
            };
            if since.is_some_and(|since| now.saturating_sub(since) >= timeout) {
                self.fail(slot, Failure::Timeout, now);
            }
        }
    }
}

/// Begins to connect.
fn begin(source: Option<SocketAddr>, destination: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(destination), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A request that follows another before its answer must not wait for an acknowledgement.
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        // One port may be bound for several destinations, as the near ends are handed out; connections still differ.
        socket.set_reuse_address(true)?;
        socket.bind(&source.into())?;
    }
    match socket.connect(&destination.into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
            Err(error)
        }
        _ => Ok(socket),
    }
}

/// Whether somebody has this near end already.
fn is_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable};
    // A source address that is not this machine's fails alike for each port, and is told after as many tries.
    matches!(error.kind(), AddrInUse | AddrNotAvailable)
}
