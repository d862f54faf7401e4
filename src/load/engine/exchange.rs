//! Requests out, answers in.
//!
//! **Invariant:** an answer belongs to the oldest request of its connection that has none.

use std::io::{ErrorKind, Read, Write};

use super::super::poll::Event;
use super::super::response::{Answer, LONGEST_HEAD};
use super::super::schedule::Schedule;
use super::super::stats::Failure;
use super::connection::{Flight, Life};
use super::{Engine, Offer, READ_BUFFER};

const _: () = assert!(LONGEST_HEAD < READ_BUFFER, "there is room behind an unfinished head");

impl Engine {
    /// Sends every request that is due and has a free connection.
    pub(super) fn ask_due(&mut self) {
        while self.in_flight < self.phase.most_in_flight {
            let Some(&slot) = self.ready.front() else { return };
            let slot = slot as usize;
            if !self.connections[slot].has_room(self.setup.pipeline) {
                self.connections[slot].offered = false;
                self.ready.pop_front();
                continue;
            }
            let now = self.setup.clock.now();
            if self.fill(slot, now) == 0 {
                return;
            }
            self.connections[slot].offered = false;
            self.ready.pop_front();
            self.write(slot, now);
            if self.phase.offer == Offer::Again {
                self.offer(slot);
            }
        }
    }

    /// Puts requests that are due into the outgoing buffer: as many as the pipeline takes in a closed loop, so that they go out
    /// together; one in an open loop, which spreads them over connections; and one where each connection is asked once.
    fn fill(&mut self, slot: usize, now: u64) -> usize {
        self.outgoing.clear();
        let connection = &mut self.connections[slot];
        let room = match (self.phase.offer, &self.phase.schedule) {
            (Offer::Again, Schedule::Closed) => usize::from(self.setup.pipeline - connection.in_flight()),
            _ => 1,
        };
        let room = room.min(self.phase.most_in_flight - self.in_flight);
        let destination = usize::from(connection.destination);
        let mut filled = 0;
        while filled < room && self.phase.stop.allows(now) {
            let due = self.again.pop_front().or_else(|| self.phase.schedule.take(now));
            let Some(intended) = due else { break };
            self.phase.stop.count(intended);
            let request = self.setup.destinations[destination].request(&mut self.steps[destination]);
            self.outgoing.extend_from_slice(request);
            self.flights.push(slot, connection, Flight { intended, sent: now });
            filled += 1;
        }
        self.in_flight += filled;
        filled
    }

    /// Writes the outgoing buffer to a connection, or keeps what it does not take.
    fn write(&mut self, slot: usize, now: u64) {
        let connection = &mut self.connections[slot];
        let Some(mut socket) = connection.socket.as_ref() else { return };
        if let Some(waiting) = connection.unsent.take() {
            connection.unsent = Some([&waiting[..], &self.outgoing[..]].concat().into());
            return;
        }
        match socket.write(&self.outgoing) {
            Ok(written) => {
                if now >= self.phase.stop.counted_from {
                    self.stats.sent += written as u64;
                }
                connection.unsent = kept(&self.outgoing[written..]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                connection.unsent = kept(&self.outgoing);
            }
            Err(error) => self.fail(slot, Failure::of(&error, false), now),
        }
    }

    pub(super) fn handle(&mut self, event: Event) {
        let Some(slot) = self.slot_of(event.token) else { return };
        if self.connections[slot].life == Life::Connecting {
            if !event.writable {
                return;
            }
            // The same event may tell that something came already, or that the server closed: an edge is told once.
            let now = self.setup.clock.now();
            self.connected(slot, now);
        }
        if event.writable
            && let Some(waiting) = self.connections[slot].unsent.take()
        {
            self.outgoing.clear();
            self.outgoing.extend_from_slice(&waiting);
            let now = self.setup.clock.now();
            self.write(slot, now);
        }
        if event.readable && self.connections[slot].life == Life::Open {
            let mut buffer = std::mem::take(&mut self.buffer);
            self.read(slot, &mut buffer, event.closed);
            self.buffer = buffer;
        }
    }

    /// Reads until the socket is empty: an edge is told once.
    fn read(&mut self, slot: usize, buffer: &mut [u8], closed: bool) {
        loop {
            let connection = &mut self.connections[slot];
            let Some(mut socket) = connection.socket.as_ref() else { return };
            let before = connection.kept.as_ref().map_or(0, |kept| {
                buffer[..kept.len()].copy_from_slice(kept);
                kept.len()
            });
            match socket.read(&mut buffer[before..]) {
                Ok(0) => return self.end_of_stream(slot),
                Ok(read) => {
                    connection.kept = None;
                    let filled = before + read;
                    let now = self.setup.clock.now();
                    if now >= self.phase.stop.counted_from {
                        self.stats.received += read as u64;
                    }
                    let alive = self.take_in(slot, &buffer[..filled], now);
                    if !alive || (filled < buffer.len() && !closed) {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let now = self.setup.clock.now();
                    return self.break_off(slot, Failure::of(&error, false), now);
                }
            }
        }
    }

    /// Reads answers out of bytes. Says whether the connection is still there.
    fn take_in(&mut self, slot: usize, bytes: &[u8], now: u64) -> bool {
        let mut at = 0;
        loop {
            let connection = &mut self.connections[slot];
            let Ok((used, answer)) = connection.reader.read(&bytes[at..]) else {
                let nobody_asked = connection.in_flight() == 0;
                self.fail_unasked(nobody_asked, now);
                self.fail(slot, Failure::Parse, now);
                return false;
            };
            at += used;
            let Some(answer) = answer else { break };
            if !self.answered(slot, answer, now) {
                return false;
            }
        }
        self.connections[slot].kept = kept(&bytes[at..]);
        if self.phase.offer == Offer::Again {
            self.offer(slot);
        }
        true
    }

    /// Counts what came and belongs to no request, unless it came in the warm-up.
    fn fail_unasked(&mut self, is_failure: bool, now: u64) {
        let counted = now >= self.phase.stop.counted_from;
        self.stats.fail(Failure::Parse, u64::from(is_failure && counted));
    }

    /// Counts an answer. Says whether the connection is still there.
    fn answered(&mut self, slot: usize, answer: Answer, now: u64) -> bool {
        let Some(flight) = self.flights.pop(slot, &mut self.connections[slot]) else {
            // Nobody asked: a farewell such as 408 is in order, anything else is not.
            self.fail_unasked(!answer.last, now);
            self.end_by_server(slot, answer.last);
            return false;
        };
        self.in_flight -= 1;
        self.stats.in_window += u64::from(self.phase.stop.window_holds(now));
        self.stats.wait(self.phase.stop.part_within(flight.sent, now));
        if flight.intended >= self.phase.stop.counted_from {
            let is_open = matches!(self.phase.schedule, Schedule::Open(_));
            let corrected = is_open.then(|| now.saturating_sub(flight.intended));
            self.stats.answer(answer.status, now.saturating_sub(flight.sent), corrected);
        } else {
            self.stats.warmed += 1;
        }
        if answer.last {
            self.end_by_server(slot, false);
        }
        !answer.last
    }

    /// The server sends no more.
    fn end_of_stream(&mut self, slot: usize) {
        let now = self.setup.clock.now();
        match self.connections[slot].reader.end() {
            Some(answer) => {
                self.answered(slot, answer, now);
            }
            None => self.break_off(slot, Failure::ClosedEarly, now),
        }
    }

    /// A connection ended, which is a failure only where something was awaited on it.
    fn break_off(&mut self, slot: usize, failure: Failure, now: u64) {
        if self.connections[slot].in_flight() == 0 {
            self.end_by_server(slot, true);
        } else {
            self.fail(slot, failure, now);
        }
    }
}

fn kept(bytes: &[u8]) -> Option<Box<[u8]>> {
    (!bytes.is_empty()).then(|| bytes.into())
}
