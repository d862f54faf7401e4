//! One connection, in as few bytes as holding a million of them asks for.
//!
//! **Invariant:** an idle connection owns its descriptor and nothing else on the heap.

use socket2::Socket;

use super::super::response::Reader;

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Closed,
    Connecting,
    Open,
}

/// A request that was sent and not answered yet: when it was due, and when it was sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flight {
    pub(super) intended: u64,
    pub(super) sent: u64,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: Option<Socket>,
    pub(super) reader: Reader,
    /// A part of a head that came, until the rest comes.
    pub(super) kept: Option<Box<[u8]>>,
    /// What the socket would not take yet.
    pub(super) unsent: Option<Box<[u8]>>,
    /// Tells this connection's events from those of the one that had the slot before.
    pub(super) generation: u32,
    pub(super) destination: u16,
    /// The ring of flights: where the oldest lies, and how many there are.
    first: u16,
    in_flight: u16,
    pub(super) life: Life,
    /// It waits in the queue of those that may be asked.
    pub(super) offered: bool,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            socket: None,
            reader: Reader::new(),
            kept: None,
            unsent: None,
            generation: 0,
            destination: 0,
            first: 0,
            in_flight: 0,
            life: Life::Closed,
            offered: false,
        }
    }

    /// Starts anew with a socket that connects.
    pub(super) fn start(&mut self, socket: Socket, destination: usize) {
        *self = Self {
            generation: self.generation.wrapping_add(1),
            socket: Some(socket),
            destination: u16::try_from(destination).unwrap_or_default(),
            life: Life::Connecting,
            ..Self::new()
        };
    }

    /// Drops the socket, which closes it.
    pub(super) fn close(&mut self) {
        *self = Self { generation: self.generation.wrapping_add(1), ..Self::new() };
    }

    pub(super) fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// Whether another request may be sent on it.
    pub(super) fn has_room(&self, pipeline: u16) -> bool {
        self.life == Life::Open && self.in_flight < pipeline
    }
}

/// The flights of all connections: a ring of `pipeline` places for each, in one piece of memory.
#[derive(Debug)]
pub(super) struct Flights {
    all: Vec<Flight>,
    pipeline: u16,
}

impl Flights {
    pub(super) fn new(connections: usize, pipeline: u16) -> Self {
        Self { all: vec![Flight::default(); connections * usize::from(pipeline)], pipeline }
    }

    fn place(&self, slot: usize, nth: u16) -> usize {
        slot * usize::from(self.pipeline) + usize::from(nth % self.pipeline)
    }

    pub(super) fn push(&mut self, slot: usize, connection: &mut Connection, flight: Flight) {
        debug_assert!(connection.in_flight < self.pipeline);
        let place = self.place(slot, connection.first + connection.in_flight);
        self.all[place] = flight;
        connection.in_flight += 1;
    }

    pub(super) fn pop(&mut self, slot: usize, connection: &mut Connection) -> Option<Flight> {
        let oldest = self.oldest(slot, connection)?;
        connection.first = (connection.first + 1) % self.pipeline;
        connection.in_flight -= 1;
        Some(oldest)
    }

    pub(super) fn oldest(&self, slot: usize, connection: &Connection) -> Option<Flight> {
        (connection.in_flight > 0).then(|| self.all[self.place(slot, connection.first)])
    }

    /// Notes when a connection began to open, in the place of the flights that it cannot have yet.
    pub(super) fn begin(&mut self, slot: usize, now: u64) {
        let place = self.place(slot, 0);
        self.all[place] = Flight { intended: now, sent: now };
    }

    pub(super) fn began(&self, slot: usize) -> u64 {
        self.all[self.place(slot, 0)].sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_takes_under_a_hundred_bytes() {
        let size = size_of::<Connection>() + size_of::<Flight>();
        assert!(size <= 112, "{size}");
    }

    #[test]
    fn flights_come_back_in_the_order_they_left() {
        let mut flights = Flights::new(2, 3);
        let mut connection = Connection::new();
        let mut next = 0;
        for round in 0..5 {
            while connection.in_flight() < 3 {
                flights.push(1, &mut connection, Flight { intended: next, sent: next });
                next += 1;
            }
            for n in 0..2 {
                assert_eq!(flights.pop(1, &mut connection).map(|flight| flight.sent), Some(round * 2 + n));
            }
        }
        assert_eq!(flights.began(0), 0, "another connection's places are untouched");
    }
}
