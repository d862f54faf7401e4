//! Descriptors that the event loop watches for us: listeners, and the epoll instance of the parked connections.
//!
//! **Invariant:** what is watched is owned by the watch, so that its number cannot come to stand for something else.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a listener for connections.
pub(super) fn watch_listener(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    #[expect(
        deprecated,
        reason = "a listener keeps its descriptor for life, so that this use is sound; the successor is unsafe"
    )]
    AsyncFd::with_interest(listener, Interest::READABLE)
}

/// Watches an epoll instance for events.
pub(super) fn watch_epoll(epoll: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        deprecated,
        reason = "an owned descriptor stays open and the same, so that this use is sound; the successor is unsafe"
    )]
    AsyncFd::with_interest(epoll, Interest::READABLE)
}
