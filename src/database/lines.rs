//! What is known of the connections of a pool for exclusive checkouts, beside what the pool itself knows: the way to cancel what runs on
//! one, its replica, and when it is too old.
//!
//! **Invariant:** a connection that a request has is ended only where its replica does not answer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use deadpool_postgres::{Object, ObjectId};
use tokio::time::Instant;

use super::connect::Line;
use super::pool::PoolSettings;

/// One entry for each connection.
#[derive(Default)]
pub(super) struct Lines(RefCell<HashMap<ObjectId, Entry>>);

struct Entry {
    line: Line,
    /// When it is to be replaced, if ever.
    expiry: Option<Instant>,
    /// Whether a request has it.
    is_out: bool,
}

/// Whether a connection is to be used on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wear {
    None,
    /// It is to be replaced, and serves until then.
    Old,
    /// Its replica is left out: it is not to be used.
    LeftOut,
}

impl Entry {
    /// Whether its replica is left out.
    fn is_left_out(&self) -> bool {
        self.line.host.as_ref().is_some_and(|host| !host.is_in_use())
    }
}

impl Lines {
    /// A request has this connection, which was opened just now where it comes with its line; those that are gone are forgotten then.
    pub(super) fn take(&self, object: &Object, opened: Option<Line>, settings: &PoolSettings) {
        let mut lines = self.0.borrow_mut();
        if let Some(line) = opened {
            lines.retain(|_, entry| !entry.line.task.is_finished());
            lines.insert(Object::id(object), Entry { line, expiry: settings.expiry(), is_out: true });
        } else if let Some(entry) = lines.get_mut(&Object::id(object)) {
            entry.is_out = true;
        }
    }

    /// A request has this connection; how much longer it may be used.
    pub(super) fn wear(&self, object: &Object, settings: &PoolSettings) -> Wear {
        self.take(object, None, settings);
        let is_old = |entry: &Entry| entry.expiry.is_some_and(|expiry| expiry <= Instant::now());
        match self.0.borrow().get(&Object::id(object)) {
            Some(entry) if entry.is_left_out() => Wear::LeftOut,
            Some(entry) if is_old(entry) => Wear::Old,
            Some(_) | None => Wear::None,
        }
    }

    /// Nobody has this connection any longer; says whether its replica is left out. A request was served on it, or else it was just opened.
    pub(super) fn give_back(&self, object: &Object, has_served: bool) -> bool {
        let mut lines = self.0.borrow_mut();
        let Some(entry) = lines.get_mut(&Object::id(object)) else { return false };
        entry.is_out = false;
        if let Some(host) = &entry.line.host {
            host.note_served(u64::from(has_served));
        }
        entry.is_left_out()
    }

    /// Whether a pooler stands in between; where that is not known any more, it may.
    pub(super) fn is_pooled(&self, object: &Object) -> bool {
        self.0.borrow().get(&Object::id(object)).is_none_or(|entry| entry.line.is_pooled)
    }

    /// Ends a connection as its server would.
    #[cfg(test)]
    pub(super) fn abort(&self, object: &Object) {
        self.0.borrow()[&Object::id(object)].line.task.abort();
    }

    /// Forgets a connection; gives its line.
    pub(super) fn remove(&self, object: &Object) -> Option<Line> {
        self.0.borrow_mut().remove(&Object::id(object)).map(|entry| entry.line)
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// Leaves replicas that are not in use any more: connections that nobody uses are closed, and those to a replica that does not answer
    /// as well. What runs elsewhere goes on, and its connection is closed as it comes back. Gives how many were closed that might have stayed.
    pub(super) fn keep_to_hosts_in_use(&self) -> usize {
        let mut given_up = 0;
        for entry in self.0.borrow().values().filter(|entry| entry.is_left_out()) {
            let is_gone = entry.line.host.as_ref().is_some_and(|host| host.is_gone());
            if is_gone || !entry.is_out {
                given_up += usize::from(!is_gone && !entry.line.task.is_finished());
                entry.line.task.abort();
            }
        }
        given_up
    }

    /// Closes the connections that nobody uses to the replica that this one was to.
    pub(super) fn leave_host_of(&self, object: &Object) {
        let lines = self.0.borrow();
        let host = |entry: &Entry| entry.line.host.as_ref().map(Arc::as_ptr);
        let Some(ours) = lines.get(&Object::id(object)).and_then(host) else { return };
        for entry in lines.values().filter(|entry| !entry.is_out && host(entry) == Some(ours)) {
            entry.line.task.abort();
        }
    }
}
