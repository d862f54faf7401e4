//! The loop that opens connections, asks, and reads answers: one for each thread, and the same for every way to ask.
//!
//! What differs between a closed loop, an open loop, a ramp, a sweep is a [`Phase`], which is a value.
//!
//! **Invariant:** nothing blocks but [`Poll::wait`], and that ends at the next thing that is due.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

mod connection;
mod exchange;
mod open;

use connection::{Connection, Flights, Life};

use super::poll::Poll;
use super::ports::EndsOfPart;
use super::schedule::{Beat, SECOND, Schedule, StopRule};
use super::stats::Stats;
use super::traffic::Destination;

/// How often timeouts are looked for, and a request to stop.
const TICK: u64 = SECOND / 10;
/// Sockets that are read before those that were answered are asked again: a connection that is left idle while hundreds of others are read
/// makes less load than was asked for.
const READ_BEFORE_ASKING: usize = 8;
/// The most steps in which requests that were never sent are counted: past it several share the wait of the first of them, which differs by
/// less than a hundred-thousandth of the run.
const STEPS_UNSENT: u64 = 100_000;
/// What is read at once from one socket.
const READ_BUFFER: usize = 64 * 1024;

/// Whether a free connection is offered a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// Not at all.
    Never,
    /// Once in this phase.
    Once,
    /// Whenever it is free.
    Again,
}

/// What is done for a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    /// Moments at which connections are opened; none for all at once.
    pub(super) ramp: Option<Beat>,
    pub(super) schedule: Schedule,
    pub(super) offer: Offer,
    pub(super) stop: StopRule,
    /// The connections that take part: so many, from the first.
    pub(super) active: usize,
    pub(super) most_in_flight: usize,
    /// Whether a connection that ended is opened again.
    pub(super) reopen: bool,
}

/// What was counted in one second, or what is left of it.
#[derive(Debug)]
pub(super) struct Interval {
    /// Which second, from when the clock was started.
    pub(super) second: u64,
    /// What was counted in it.
    pub(super) stats: Stats,
    /// Connections open at its end.
    pub(super) open: u64,
}

/// Nanoseconds since a moment that all threads of a run share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(pub(super) Instant);

impl Clock {
    pub(super) fn now(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What an engine is made with.
pub(super) struct Setup {
    pub(super) connections: usize,
    pub(super) pipeline: u16,
    pub(super) timeout: Duration,
    pub(super) destinations: Arc<[Destination]>,
    pub(super) ends: EndsOfPart,
    pub(super) clock: Clock,
    /// Set from outside: end soon, whatever is outstanding.
    pub(super) stop: Arc<AtomicBool>,
}

pub(super) struct Engine {
    setup: Setup,
    poll: Poll,
    phase: Phase,
    connections: Vec<Connection>,
    flights: Flights,
    /// Connections that may be asked, the one that waits longest first.
    ready: VecDeque<u32>,
    /// Requests that a server said it would not answer on that connection: when each was due.
    again: VecDeque<u64>,
    to_open: VecDeque<u32>,
    /// Connections that could not be opened, and when to try again.
    resting: VecDeque<(u64, u32)>,
    /// The first connection that was never opened.
    fresh: usize,
    connecting: usize,
    open: usize,
    in_flight: usize,
    /// Where each destination's round has come to.
    steps: Vec<usize>,
    stats: Stats,
    buffer: Vec<u8>,
    outgoing: Vec<u8>,
    next_tick: u64,
    second: u64,
}

impl Engine {
    pub(super) fn new(setup: Setup) -> io::Result<Self> {
        let mut connections = Vec::with_capacity(setup.connections);
        connections.resize_with(setup.connections, Connection::new);
        Ok(Self {
            poll: Poll::new()?,
            phase: Phase {
                ramp: None,
                schedule: Schedule::Closed,
                offer: Offer::Never,
                stop: StopRule { counted_from: 0, until: Some(0), left: None },
                active: 0,
                most_in_flight: 0,
                reopen: false,
            },
            flights: Flights::new(setup.connections, setup.pipeline),
            connections,
            ready: VecDeque::new(),
            again: VecDeque::new(),
            to_open: VecDeque::new(),
            resting: VecDeque::new(),
            fresh: 0,
            connecting: 0,
            open: 0,
            in_flight: 0,
            steps: vec![0; setup.destinations.len()],
            stats: Stats::default(),
            buffer: vec![0; READ_BUFFER],
            outgoing: Vec::new(),
            next_tick: 0,
            second: 0,
            setup,
        })
    }

    /// Connections that are open now.
    pub(super) fn open(&self) -> u64 {
        self.open as u64
    }

    /// Does what a phase says until its end, and tells what was counted, second by second.
    pub(super) fn run(&mut self, phase: Phase, tell: &mut dyn FnMut(Interval)) -> io::Result<()> {
        self.begin(phase);
        loop {
            let now = self.setup.clock.now();
            if now / SECOND != self.second {
                self.tell(tell);
                self.second = now / SECOND;
            }
            if self.setup.stop.load(Ordering::Relaxed) || self.finished(now) {
                self.leave_unsent(now);
                self.tell(tell);
                return Ok(());
            }
            if now >= self.next_tick {
                self.next_tick = now + TICK;
                self.give_up_late(now);
            }
            self.open_due(now);
            self.ask_due();
            let (limit, exactly) = self.rest();
            self.poll.wait(limit, exactly)?;
            for n in 0..self.poll.len() {
                if let Some(event) = self.poll.event(n) {
                    self.handle(event);
                }
                if n % READ_BEFORE_ASKING == READ_BEFORE_ASKING - 1 {
                    self.ask_due();
                }
            }
        }
    }

    fn begin(&mut self, phase: Phase) {
        self.phase = phase;
        self.second = self.setup.clock.now() / SECOND;
        self.again.clear();
        self.ready.clear();
        for slot in 0..self.connections.len() {
            self.connections[slot].offered = false;
            // Connections that a ramp opens are offered as they open.
            if self.phase.offer != Offer::Never {
                self.offer(slot);
            }
        }
    }

    /// Queues a connection that may be asked.
    fn offer(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        if slot < self.phase.active && !connection.offered && connection.has_room(self.setup.pipeline) {
            connection.offered = true;
            self.ready.push_back(number(slot));
        }
    }

    fn finished(&self, now: u64) -> bool {
        if !self.phase.stop.allows(now) {
            return self.in_flight == 0;
        }
        // A server that closed them all leaves nobody to ask.
        if !self.opens() && self.open == 0 && self.connecting == 0 {
            return true;
        }
        let all_opened = self.phase.ramp.is_none() || self.fresh == self.connections.len();
        self.phase.offer != Offer::Again
            && all_opened
            && self.connecting == 0
            && self.ready.is_empty()
            && self.in_flight == 0
    }

    /// How long nothing is due, and whether something is exactly then.
    fn rest(&self) -> (Duration, bool) {
        let now = self.setup.clock.now();
        let mut due = None;
        let mut at = |moment: u64| due = Some(due.map_or(moment, |due: u64| due.min(moment)));
        if self.phase.stop.allows(now) {
            if !self.ready.is_empty() && self.in_flight < self.phase.most_in_flight {
                self.phase.schedule.next().into_iter().for_each(&mut at);
            }
            if self.fresh < self.connections.len() && self.opens() {
                at(self.phase.ramp.as_ref().map_or(now, Beat::next));
            }
            self.phase.stop.until.into_iter().for_each(&mut at);
        }
        let limit = self.next_tick.min(due.unwrap_or(u64::MAX)).saturating_sub(now);
        (Duration::from_nanos(limit), due.is_some_and(|due| due <= self.next_tick))
    }

    /// Requests whose moment came and for which no connection was free.
    fn leave_unsent(&mut self, now: u64) {
        let end = self.phase.stop.until.map_or(now, |until| until.min(now));
        let from = self.phase.stop.counted_from;
        if let Schedule::Open(beat) = &mut self.phase.schedule
            && self.phase.stop.left != Some(0)
        {
            for intended in self.again.drain(..).filter(|&intended| intended >= from) {
                self.stats.leave_unsent(end.saturating_sub(intended), 1);
            }
            let last = end.saturating_sub(1);
            if let Some(uncounted) = from.checked_sub(1) {
                beat.take_some(uncounted.min(last), u64::MAX);
            }
            let step = beat.due(last).div_ceil(STEPS_UNSENT);
            while let Some((intended, count)) = beat.take_some(last, step) {
                self.stats.leave_unsent(end.saturating_sub(intended), count);
            }
        }
    }

    fn tell(&mut self, tell: &mut dyn FnMut(Interval)) {
        let stats = std::mem::take(&mut self.stats);
        tell(Interval { second: self.second, stats, open: self.open as u64 });
    }

    /// Closes every connection; `at_once` by a reset, so that neither side keeps it in `TIME_WAIT` (RFC 9293, section 3.6.1): a million
    /// of those exceed `net.ipv4.tcp_max_tw_buckets`.
    pub(super) fn close_all(&mut self, at_once: bool) {
        for connection in &mut self.connections {
            if let Some(socket) = connection.socket.as_ref().filter(|_| at_once) {
                // Where it cannot be set the connection closes in the ordinary way.
                let _ = socket.set_linger(Some(Duration::ZERO));
            }
            connection.close();
        }
        (self.open, self.connecting, self.in_flight) = (0, 0, 0);
    }

    /// The connection that an event is about; none where it has ended since.
    fn slot_of(&self, token: u64) -> Option<usize> {
        let slot = usize::try_from(token & u64::from(u32::MAX)).ok()?;
        let connection = self.connections.get(slot)?;
        (u64::from(connection.generation) == token >> 32 && connection.life != Life::Closed).then_some(slot)
    }
}

/// A slot as queues hold it; there are never 2^32 of them in one process.
fn number(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(u32::MAX)
}
