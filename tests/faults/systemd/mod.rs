//! The service as a unit of systemd: what it tells ([`told`]), the watchdog ([`watchdog`]), sockets that it is given ([`inherited`]), and the
//! rights that the unit, the image and the compose file leave it ([`units`], [`calls`]).
//!
//! **Invariant:** systemd's side is a socket of the test's: the protocol is real, and no systemd has to run.

mod calls;
mod inherited;
mod told;
mod units;
mod watchdog;

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::harness::{PATIENCE, ServerSetup, unused_port};

/// What systemd hears.
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn listen() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        Self { socket, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("notify")
    }

    /// The next words, if they come in this time.
    fn hear(&self, limit: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(limit.max(Duration::from_millis(1)))).expect("a limit");
        let mut words = [0; 4096];
        let length = self.socket.recv(&mut words).ok()?;
        Some(String::from_utf8(words[..length].to_vec()).expect("words in UTF-8"))
    }

    /// Leaves out what was said so far.
    fn forget(&self) {
        while self.hear(Duration::ZERO).is_some() {}
    }

    /// Waits for words that begin so; gives them, and those that came before.
    fn wait_for(&self, begin: &str) -> (String, Vec<String>) {
        let (end, mut before) = (Instant::now() + PATIENCE, Vec::new());
        loop {
            match self.hear(end.saturating_duration_since(Instant::now())) {
                Some(words) if words.starts_with(begin) => return (words, before),
                Some(words) => before.push(words),
                None => panic!("never {begin:?}, but {before:?}"),
            }
        }
    }

    /// `serve` with a database that is not there, as a unit of this one.
    fn unit(&self, words: &[&str]) -> ServerSetup {
        ServerSetup::of(&["serve", "--port", "0"])
            .args(words)
            .env("DATABASE_URL", format!("postgres://nobody@127.0.0.1:{}/none", unused_port()))
            .env("NOTIFY_SOCKET", self.path())
    }
}
