//! Where there is no epoll: says so.
//!
//! **Invariant:** it cannot be made, so that nothing of it is ever called.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

#[derive(Debug, Clone, Copy)]
pub(super) enum Token {
    Listener,
    Orders,
    End { key: usize, side: usize },
}

pub(super) struct Poll(std::convert::Infallible);

impl Poll {
    pub(super) fn new() -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it waits by epoll, which only Linux has: run it on Linux",
        ))
    }

    pub(super) fn add(&self, _: impl AsFd, _: Token) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn wait(&mut self, _: Option<Instant>) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn take(&mut self) -> Vec<(Token, bool, bool)> {
        match self.0 {}
    }
}
