//! What others are told of a connection: whose it is, what it is doing, and why it has ended.
//!
//! **Invariant:** whatever ends a connection has one reason.

use std::net::SocketAddr;
use std::rc::Rc;

use tokio::time::Instant;

use super::super::super::census::peer_of;
use super::super::{Client, Refusal};
use super::ConnectionState;
use crate::telemetry::labels::{CloseReason, ConnectionState as Label};
use crate::telemetry::listing::Seen;

impl ConnectionState {
    /// Whose state it is.
    pub(in crate::server::connection) fn belongs_to(&self, client: &Rc<Client>) {
        *self.client.borrow_mut() = Rc::downgrade(client);
    }

    /// The client's address, while the kernel knows it.
    pub(in crate::server) fn peer(&self) -> Option<SocketAddr> {
        peer_of(&*self.client.borrow().upgrade()?.stream.borrow())
    }

    /// What it looks like from outside.
    pub(in crate::server) fn see(&self, now: Instant) -> Seen {
        let state = if self.closing.get() || self.is_deaf() || self.lingering_since.get().is_some() {
            Label::Closing
        } else if self.blocked_since.get().is_some() {
            Label::Writing
        } else if self.is_busy() {
            Label::Handling
        } else if self.partial_since.get().is_some() {
            Label::Reading
        } else {
            Label::Idle
        };
        let idle_s = now.saturating_duration_since(self.last_read.get()).as_secs_f64();
        Seen { state, idle_s, requests: Some(self.answered.get()) }
    }

    /// Why the connection has come to its end, in a worker that is `draining` or not.
    pub(in crate::server::connection) fn why_ended(&self, draining: bool) -> CloseReason {
        match self.refusal.get() {
            Some(Refusal::NoRoom) => CloseReason::Full,
            Some(Refusal::NoMemory | Refusal::Shed) => CloseReason::Memory,
            Some(Refusal::TooSlow) => CloseReason::Timeout,
            None if self.closing.get() && draining => CloseReason::Drain,
            None if self.left.get() && !self.closing.get() => CloseReason::Client,
            // By us, by hyper that could make nothing of a request, or because the client wanted no more than this answer.
            Some(_) | None => CloseReason::Answered,
        }
    }

    /// Why nothing more can be sent.
    pub(in crate::server::connection) fn why_broken(&self) -> CloseReason {
        if self.refusal.get() == Some(Refusal::Shed) { CloseReason::Memory } else { CloseReason::Client }
    }

    /// Whether the client is waited for after an answer that was none of ours: hyper's, to what it could make no request of.
    pub(in crate::server::connection) fn is_left_hanging(&self) -> bool {
        self.lingering_since.get().is_some()
            && self.refusal.get().is_none()
            && !self.closing.get()
            && self.begun.get() == self.answered.get()
            && self.answered.get() != self.delivered.get()
    }

    /// Why the connection ends at a deadline.
    pub(in crate::server::connection) fn why_overdue(&self) -> CloseReason {
        match self.refusal.get() {
            Some(Refusal::NoRoom) => CloseReason::Full,
            Some(Refusal::NoMemory | Refusal::Shed) => CloseReason::Memory,
            None if self.is_idle() => CloseReason::Idle,
            Some(_) | None => CloseReason::Timeout,
        }
    }
}
