//! Where there is no epoll: says so.
//!
//! **Invariant:** it cannot be made, so that nothing of it is ever called.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) closed: bool,
}

pub(crate) struct Poll(std::convert::Infallible);

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it waits by epoll, which only Linux has: run it on Linux",
        ))
    }

    pub(crate) fn add(&self, _: impl AsFd, _: u64) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn wait(&mut self, _: Duration, _: bool) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn len(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn event(&self, _: usize) -> Option<Event> {
        match self.0 {}
    }
}
