//! The way to the database as a thing that can break: a forwarder that can be cut, hung and restored, and that
//! keeps what the service said.
//!
//! **Invariant:** its port stays its own: while it is cut nothing listens there, and it comes back on the same one.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::cluster::Cluster;
use super::frontend::Conversation;
use super::patience::{PATIENCE, wait_until};
use super::ports::unused_port;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    Hung,
    Cut,
}

struct State {
    way: Way,
    streams: Vec<TcpStream>,
    conversations: Vec<Conversation>,
}

struct Shared {
    port: u16,
    target: u16,
    state: Mutex<State>,
    change: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while hung; false where the way was cut.
    fn may_pass(&self) -> bool {
        let mut state = self.state();
        while state.way == Way::Hung {
            state = self.change.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.way == Way::Open
    }
}

/// A port that leads to PostgreSQL as long as nobody breaks the way.
pub(crate) struct Forwarder {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Leads to the shared cluster.
    pub(crate) fn start() -> Self {
        let mut forwarder = Self::start_cut(Cluster::shared().port());
        forwarder.restore();
        forwarder
    }

    /// Leads nowhere until [`restore`](Self::restore).
    pub(crate) fn start_cut(target: u16) -> Self {
        let state = State { way: Way::Cut, streams: Vec::new(), conversations: Vec::new() };
        let shared = Shared { port: unused_port(), target, state: Mutex::new(state), change: Condvar::new() };
        Self { shared: Arc::new(shared), acceptor: None }
    }

    pub(crate) fn port(&self) -> u16 {
        self.shared.port
    }

    /// Ends every connection and refuses new ones.
    pub(crate) fn cut(&mut self) {
        self.set(Way::Cut);
        for stream in self.shared.state().streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(acceptor) = self.acceptor.take() {
            // The acceptor waits for a connection: this one tells it to look up.
            let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.shared.port));
            acceptor.join().expect("the acceptor's end");
        }
    }

    /// Keeps every connection and moves nothing on any of them, new ones included.
    pub(crate) fn hang(&self) {
        self.set(Way::Hung);
    }

    /// Moves everything again, and listens again where it was cut.
    pub(crate) fn restore(&mut self) {
        self.set(Way::Open);
        if self.acceptor.is_none() {
            let listener = wait_until("the forwarder's port", PATIENCE, || {
                TcpListener::bind((Ipv4Addr::LOCALHOST, self.shared.port)).ok()
            });
            let shared = Arc::clone(&self.shared);
            self.acceptor = Some(thread::spawn(move || accept(&listener, &shared)));
        }
    }

    /// What the service has said on each of its database connections.
    pub(crate) fn conversations(&self) -> Vec<Conversation> {
        self.shared.state().conversations.clone()
    }

    fn set(&self, way: Way) {
        self.shared.state().way = way;
        self.shared.change.notify_all();
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.cut();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((near, _)) = listener.accept() {
        let mut state = shared.state();
        if state.way == Way::Cut {
            return;
        }
        let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.target)) else { continue };
        let number = state.conversations.len();
        state.conversations.push(Conversation::default());
        for (from, to, heard) in [(&near, &far, Some(number)), (&far, &near, None)] {
            let _ = from.set_nodelay(true);
            state.streams.push(from.try_clone().expect("a second handle"));
            let (from, to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
            let shared = Arc::clone(shared);
            thread::spawn(move || copy(from, to, &shared, heard));
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, shared: &Shared, heard: Option<usize>) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        if !shared.may_pass() {
            break;
        }
        if let Some(number) = heard {
            shared.state().conversations[number].hear(&chunk[..count]);
        }
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_forwarder_leads_to_the_database_until_it_is_cut_and_again_when_restored() {
    let database = super::database::TestDatabase::create();
    let mut forwarder = Forwarder::start();
    let url = database.url_through(forwarder.port());
    for _ in 0..2 {
        let session = super::database::Session::open(&url);
        assert_eq!(session.number("SELECT count(*) FROM world"), 10_000);
        forwarder.cut();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, forwarder.port())).is_err());
        forwarder.restore();
    }
    let conversations = forwarder.conversations();
    assert_eq!(conversations.len(), 2);
    assert!(conversations.iter().all(|one| one.count('E') == 1 && one.count('B') == 1), "{conversations:?}");
}
