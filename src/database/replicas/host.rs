//! One server that is read from: what is known of it, and the sessions that it has.
//!
//! **Invariant:** whoever has a seat at a server is counted there for as long as the seat is held.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::config::Config;
use super::super::dial::Address;
use super::judge::Left;
use crate::telemetry::hosts::Role;

/// A server that is read from, or may be again.
#[derive(Debug)]
pub(in crate::database) struct ReadHost {
    pub(super) address: Address,
    pub(super) name: String,
    /// This server alone.
    pub(in crate::database) config: Config,
    is_in_use: AtomicBool,
    is_gone: AtomicBool,
    open: AtomicU32,
    served: AtomicU64,
    known: Mutex<Known>,
}

/// What is known of a server.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) role: Option<Role>,
    pub(super) lag: Option<Duration>,
    /// Why it is not fit to be read from, if it is not.
    pub(super) left: Option<Left>,
    /// Why it is not in use; another reason where it is fit and others are preferred.
    pub(super) shown: Option<Left>,
    /// Look-ups, one after the other, that did not lead there.
    pub(super) missed: u32,
    /// The address does not lead there any more.
    pub(super) is_dismissed: bool,
}

/// What is another than before about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// It is read from or left out now.
    Use,
    /// It is left out as before, and whether it answers has changed: what it was asked is to be asked elsewhere, or not.
    Presence,
}

impl ReadHost {
    /// One that nobody has asked yet.
    pub(super) fn new(address: Address, name: String, config: Config) -> Self {
        let left = || Some(Left::gone("it has not answered yet"));
        Self {
            address,
            name,
            config,
            is_in_use: AtomicBool::new(false),
            is_gone: AtomicBool::new(true),
            open: AtomicU32::new(0),
            served: AtomicU64::new(0),
            known: Mutex::new(Known {
                role: None,
                lag: None,
                left: left(),
                shown: left(),
                missed: 0,
                is_dismissed: false,
            }),
        }
    }

    /// Whether it is read from.
    pub(in crate::database) fn is_in_use(&self) -> bool {
        self.is_in_use.load(Ordering::Relaxed)
    }

    /// Whether it does not answer, so that what it was asked is to be asked elsewhere.
    pub(in crate::database) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }

    /// Sessions of this process there.
    pub(super) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Requests that were sent there.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// So many more requests were sent there.
    pub(in crate::database) fn note_served(&self, requests: u64) {
        if requests > 0 {
            self.served.fetch_add(requests, Ordering::Relaxed);
        }
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts it in use or leaves it out; gives what that changed.
    pub(super) fn put(&self, left: Option<&Left>) -> Change {
        let is_gone = left.is_some_and(|left| left.is_gone);
        let of_gone = self.is_gone.swap(is_gone, Ordering::Relaxed) != is_gone;
        let of_use = self.is_in_use.swap(left.is_none(), Ordering::Relaxed) != left.is_none();
        match (of_use, of_gone) {
            (true, _) => Change::Use,
            (false, true) => Change::Presence,
            (false, false) => Change::None,
        }
    }

    /// A seat for a session that is to be opened there.
    pub(super) fn take_seat(self: &Arc<Self>) -> Seat {
        self.open.fetch_add(1, Ordering::Relaxed);
        Seat(Arc::clone(self))
    }
}

/// A session's seat at a server, until it is dropped.
#[derive(Debug)]
pub(in crate::database) struct Seat(Arc<ReadHost>);

impl Seat {
    /// Where it is.
    pub(in crate::database) fn host(&self) -> &Arc<ReadHost> {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
