//! Where there is no epoll: says so.
//!
//! **Invariant:** it cannot be made, so that nothing of it is ever called.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) token: u64,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) closed: bool,
}

pub(super) struct Poll(std::convert::Infallible);

impl Poll {
    pub(super) fn new() -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it waits by epoll, which only Linux has: run it on Linux",
        ))
    }

    pub(super) fn add(&self, _: impl AsFd, _: u64) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn wait(&mut self, _: Duration, _: bool) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn len(&self) -> usize {
        match self.0 {}
    }

    pub(super) fn event(&self, _: usize) -> Option<Event> {
        match self.0 {}
    }
}
