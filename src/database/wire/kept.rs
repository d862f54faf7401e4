//! A socket that stays open for a moment when its wire is gone.
//!
//! A pooler ends the server's side together with the client's, and then nobody is left to whom a cancel could be passed on, while
//! PostgreSQL, in the middle of a statement, does not notice that it is alone.
//!
//! **Invariant:** a socket is kept only where somebody said that it is wanted, and until the same one lets it go.

use std::io;

use super::Socket;

/// What becomes of a socket as its wire is dropped.
#[derive(Default)]
pub(super) enum Kept {
    /// It is closed.
    #[default]
    Unwanted,
    /// It is kept.
    Wanted,
    /// It was kept: a second handle, of which nobody reads or writes.
    Open(#[expect(dead_code, reason = "what it does is to be there")] socket2::Socket),
}

impl Kept {
    /// The wire of this socket is gone now.
    pub(super) fn take(&mut self, socket: &Socket) {
        if matches!(self, Self::Wanted) {
            let kept: io::Result<socket2::Socket> = socket.handle();
            // Without a descriptor to spare it is closed as any other.
            *self = kept.map_or(Self::Unwanted, Self::Open);
        }
    }
}
