//! What is known of one connection, shared by its parts: the guard that reads, the service that answers, the task that keeps
//! time.
//!
//! [`outside`] is what others are told of it, [`sending`] whether the client takes what it is sent, [`shed`] what becomes of it while
//! memory is short.
//!
//! **Invariant:** which deadline holds follows from the state alone, so that one timer for each connection serves them all.

use std::cell::{Cell, RefCell};
use std::rc::Weak;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::Client;
use super::refusal::Refusal;
use crate::config::LimitsArgs;

mod outside;
mod sending;
mod shed;

pub(super) use sending::Take;

/// How long a client may take to notice that it was refused, before the socket is closed over unread bytes.
const LINGER: Duration = Duration::from_secs(1);

/// The shortest time between two looks at a connection whose request is under way, however soon idle ones are parked.
const BUSY_LOOK: Duration = Duration::from_millis(100);

/// One connection's state.
#[derive(Debug)]
pub(in crate::server) struct ConnectionState {
    /// When bytes last came.
    last_read: Cell<Instant>,
    /// When the last answer was given, or could at last be written: a request in line behind it begins then.
    settled: Cell<Instant>,
    /// When the timer last found a request under way: idle time begins there, and not with the request.
    last_busy: Cell<Instant>,
    /// When the head that is not whole yet began.
    partial_since: Cell<Option<Instant>>,
    /// Since when the client has taken neither what waits to be written to it nor enough of it, see [`sending`]; none while nothing waits.
    blocked_since: Cell<Option<Instant>>,
    /// What it has taken since then, in bytes.
    taken: Cell<usize>,
    /// When we began to wait for the client to notice the end.
    lingering_since: Cell<Option<Instant>>,
    /// Requests handed to hyper.
    delivered: Cell<u32>,
    /// Requests whose handling began.
    begun: Cell<u32>,
    /// Requests that were answered.
    answered: Cell<u32>,
    refusal: Cell<Option<Refusal>>,
    /// Whether an answer with `Connection: close` was given.
    closing: Cell<bool>,
    /// Whether the client has ended its side, or reset the connection.
    left: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Whose state it is, to be asked for its peer.
    client: RefCell<Weak<Client>>,
}

/// What a deadline that has passed asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nothing yet; look again then.
    Not(Instant),
    /// The head is too slow: refuse it.
    Head,
    /// Nothing is under way; if it stays so, close then.
    Idle(Instant),
    /// Close without a word.
    Close,
}

impl ConnectionState {
    pub(in crate::server) fn new(now: Instant) -> Self {
        Self {
            last_read: Cell::new(now),
            settled: Cell::new(now),
            last_busy: Cell::new(now),
            partial_since: Cell::new(None),
            blocked_since: Cell::new(None),
            taken: Cell::new(0),
            lingering_since: Cell::new(None),
            delivered: Cell::new(0),
            begun: Cell::new(0),
            answered: Cell::new(0),
            refusal: Cell::new(None),
            closing: Cell::new(false),
            left: Cell::new(false),
            waker: RefCell::new(None),
            client: RefCell::default(),
        }
    }

    /// That of a connection which is told that it is one too many.
    pub(in crate::server) fn refused(now: Instant, refusal: Refusal) -> Self {
        let state = Self::new(now);
        state.refuse(refusal);
        state
    }

    /// Since when nothing has been under way, if nothing is.
    pub(in crate::server) fn idle_since(&self) -> Instant {
        self.last_read.get().max(self.last_busy.get())
    }

    /// Wakes the connection's task, to look at the worker's phase.
    pub(in crate::server) fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Whether a request is being answered, or its answer is still on its way out.
    pub(in crate::server) fn is_busy(&self) -> bool {
        self.answered.get() != self.delivered.get() || self.blocked_since.get().is_some()
    }

    /// Notes whom to wake; says whether that is another than before.
    pub(super) fn set_waker(&self, waker: &Waker) -> bool {
        let mut slot = self.waker.borrow_mut();
        let is_new = slot.as_ref().is_none_or(|old| !old.will_wake(waker));
        if is_new {
            *slot = Some(waker.clone());
        }
        is_new
    }

    /// Bytes came: `heads` whole heads, and after them the beginning of another or not.
    pub(super) fn note_read(&self, now: Instant, heads: u32, within_head: bool) {
        self.last_read.set(now);
        self.delivered.set(self.delivered.get().wrapping_add(heads));
        if !within_head {
            self.partial_since.set(None);
        } else if heads > 0 || self.partial_since.get().is_none() {
            self.partial_since.set(Some(now));
        }
    }

    /// The handling of a request begins; says since when its time counts. For the first one after a read that is the read, for those in
    /// line behind it the answer before. Neither needs another look at the clock.
    pub(super) fn begin(&self) -> Instant {
        self.begun.set(self.begun.get().wrapping_add(1));
        self.last_read.get().max(self.settled.get())
    }

    /// A request was answered.
    pub(super) fn answer(&self, close: bool, now: Instant) {
        self.settled.set(now);
        self.answered.set(self.answered.get().wrapping_add(1));
        if close {
            self.closing.set(true);
        }
    }

    /// Whether nothing that was read waits behind the request in hand: no request, no part of one, no refusal.
    pub(super) fn is_last_in_line(&self) -> bool {
        self.begun.get() == self.delivered.get() && self.partial_since.get().is_none() && !self.is_deaf()
    }

    /// The client has ended its side, or reset the connection.
    pub(super) fn note_left(&self) {
        self.left.set(true);
    }

    /// Whether our side ends the connection, so that the client may still be sending. A request that was handed to hyper and
    /// not answered by us was refused by hyper.
    pub(super) fn ends_by_us(&self) -> bool {
        self.closing.get() || self.refusal.get().is_some() || self.is_busy()
    }

    /// The refusal to send, unless an answer already said that the connection ends.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        if self.closing.get() { None } else { self.refusal.get() }
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        self.refusal.set(Some(refusal));
        // What has come of the head is as good as gone, and asks for no deadline any more.
        self.partial_since.set(None);
    }

    /// Whether no more requests are read.
    pub(super) fn is_deaf(&self) -> bool {
        self.refusal.get().is_some()
    }

    pub(super) fn linger(&self, now: Instant) {
        self.lingering_since.set(Some(now));
    }

    /// Whether nothing is under way: no request, no part of one, no farewell.
    pub(in crate::server) fn is_idle(&self) -> bool {
        !self.is_busy() && self.partial_since.get().is_none() && self.lingering_since.get().is_none()
    }

    /// Whether the socket is all that there is to the connection now: what woke it was answered, nothing is under way, and no end was
    /// announced.
    pub(super) fn may_park(&self) -> bool {
        self.delivered.get() > 0 && self.is_idle() && !self.closing.get() && !self.is_deaf()
    }

    /// The deadline of what has begun and must end: our farewell, or a head that is not whole yet. Sooner than an idle
    /// connection's.
    pub(super) fn pressing_deadline(&self, limits: &LimitsArgs) -> Option<Instant> {
        match self.lingering_since.get() {
            Some(since) => Some(since + LINGER),
            None => self.partial_since.get().map(|since| since + limits.header_timeout),
        }
    }

    /// What the clock asks for at `now`.
    pub(super) fn overdue(&self, now: Instant, limits: &LimitsArgs) -> Overdue {
        let due = |at: Instant, then: Overdue| if at <= now { then } else { Overdue::Not(at) };
        if let Some(since) = self.lingering_since.get() {
            return due(since + LINGER, Overdue::Close);
        }
        // A client that takes no answers is waited for no longer than one that sends nothing, whatever else is due.
        if let Some(since) = self.blocked_since.get() {
            return due(since + limits.idle_timeout, Overdue::Close);
        }
        // A request's own deadline holds; once it is answered, an idle time is given again, short by one look at the most.
        if self.is_busy() {
            self.last_busy.set(now);
            return Overdue::Not(now + limits.first_look().max(BUSY_LOOK));
        }
        if let Some(since) = self.partial_since.get() {
            return due(since + limits.header_timeout, Overdue::Head);
        }
        let close_at = self.idle_since() + limits.idle_timeout;
        // One whose end was announced is not to be parked: its end is on its way.
        let park_at = if self.closing.get() { close_at } else { self.idle_since() + limits.park_after };
        if now < park_at.min(close_at) {
            Overdue::Not(park_at.min(close_at))
        } else if now < close_at {
            Overdue::Idle(close_at)
        } else {
            Overdue::Close
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::limits::WhenFull;

    fn limits() -> LimitsArgs {
        LimitsArgs {
            request_deadline: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(75),
            header_timeout: Duration::from_secs(10),
            park_after: Duration::from_secs(1),
            max_connections: None,
            when_full: WhenFull::Refuse,
            drain_grace: Duration::from_secs(1),
            drain_deadline: Duration::from_secs(2),
        }
    }

    #[test]
    fn each_state_has_its_deadline() {
        let (start, limits) = (Instant::now(), limits());
        let after = |seconds| start + Duration::from_secs(seconds);
        let state = ConnectionState::new(start);
        assert_eq!(state.overdue(start, &limits), Overdue::Not(after(1)), "new and silent");
        assert_eq!(state.overdue(after(1), &limits), Overdue::Idle(after(75)));
        assert_eq!(state.overdue(after(75), &limits), Overdue::Close);
        state.note_read(after(5), 0, true);
        assert_eq!(state.overdue(after(6), &limits), Overdue::Not(after(15)), "a head has begun");
        state.note_read(after(8), 0, true);
        assert_eq!(state.overdue(after(15), &limits), Overdue::Head, "dripping bytes do not buy time");
        state.note_read(after(15), 1, false);
        assert_eq!(
            state.overdue(after(200), &limits),
            Overdue::Not(after(201)),
            "a request is being answered"
        );
        state.answer(false, Instant::now());
        assert_eq!(state.overdue(after(200), &limits), Overdue::Not(after(201)), "idle again");
        assert_eq!(
            state.overdue(after(201), &limits),
            Overdue::Idle(after(275)),
            "a whole idle time is given"
        );
        state.linger(after(20));
        assert_eq!(state.overdue(after(21), &limits), Overdue::Close);
    }

    #[test]
    fn a_client_that_takes_nothing_is_closed_on_whatever_else_is_due() {
        let (limits, state) = (limits(), ConnectionState::new(Instant::now()));
        state.note_read(Instant::now(), 1, true);
        state.note_write(Take::Nothing);
        let blocked = Instant::now();
        assert!(!state.is_idle());
        assert!(matches!(state.overdue(blocked, &limits), Overdue::Not(_)));
        assert_eq!(
            state.overdue(blocked + limits.idle_timeout, &limits),
            Overdue::Close,
            "a request is under way"
        );
        state.answer(false, Instant::now());
        assert!(!state.is_idle(), "the answer is still on its way out");
        assert_eq!(state.overdue(blocked + limits.idle_timeout, &limits), Overdue::Close, "a head has begun");
        state.note_write(Take::All);
        assert_eq!(state.overdue(blocked + limits.idle_timeout, &limits), Overdue::Head);
        state.refuse(Refusal::TooSlow);
        assert_eq!(state.pressing_deadline(&limits), None, "a head that was refused is refused once");
    }

    #[test]
    fn a_request_in_line_begins_where_the_one_before_it_ended() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let state = ConnectionState::new(start);
        state.note_read(after(1), 2, false);
        assert_eq!(state.begin(), after(1), "the first begins with the read");
        state.answer(false, after(5));
        assert_eq!(state.begin(), after(5));
        state.answer(false, after(6));
        state.note_read(after(7), 1, false);
        assert_eq!(state.begin(), after(7), "one that came later begins with its read");
    }

    #[test]
    fn the_last_in_line_has_nothing_behind_it() {
        let (now, state) = (Instant::now(), ConnectionState::new(Instant::now()));
        state.note_read(now, 2, false);
        state.begin();
        assert!(!state.is_last_in_line(), "another request");
        state.begin();
        assert!(state.is_last_in_line());
        state.note_read(now, 0, true);
        assert!(!state.is_last_in_line(), "the beginning of another");
        state.refuse(Refusal::BareLineFeed);
        assert!(!state.is_last_in_line(), "a refusal");
    }

    #[test]
    fn a_connection_whose_end_was_announced_is_never_parked() {
        let (start, limits) = (Instant::now(), limits());
        let state = ConnectionState::new(start);
        state.note_read(start, 1, false);
        state.answer(true, Instant::now());
        let soon = start + limits.park_after;
        assert_eq!(state.overdue(soon, &limits), Overdue::Not(start + limits.idle_timeout));
        assert_eq!(state.overdue(start + limits.idle_timeout, &limits), Overdue::Close);
    }

    #[test]
    fn a_refusal_is_not_sent_after_a_closing_answer() {
        let state = ConnectionState::new(Instant::now());
        state.refuse(Refusal::BareLineFeed);
        assert_eq!(state.refusal(), Some(Refusal::BareLineFeed));
        state.answer(true, Instant::now());
        assert_eq!(state.refusal(), None);
        assert!(state.is_deaf() && state.ends_by_us());
    }
}
