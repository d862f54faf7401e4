//! The admin side: a thread and listeners of its own, which answer while every worker is busy.
//!
//! [`doors`] opens the listeners, [`connection`] takes one request each, [`routes`] answers it: from the [`office`], which samples
//! the processes ([`crew`]) as time passes and whenever somebody asks, as [`metrics`], JSON or the live [`page`]; or by a [`change`].
//!
//! **Invariant:** nothing here runs on a worker's thread, and no more than [`MOST_CONNECTIONS`] ask at once.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::status::Service;

mod change;
mod connection;
mod crew;
mod doors;
mod metrics;
mod office;
mod page;
mod query;
mod reply;
mod routes;

pub use change::{Change, Refusal, Resize, Resized};
pub use crew::{Ground, NewMember};
pub use doors::{Door, Doors, NoDoor};
pub use office::Probe;

use crew::Processes;
use office::Office;
use routes::{Entrance, answer};

/// Connections at once; more wait in the backlog.
pub const MOST_CONNECTIONS: usize = 32;
/// Descriptors that the admin side takes in its process: connections, listeners, its event loop, a socket's probe.
pub const DESCRIPTORS: u64 = MOST_CONNECTIONS as u64 + 8;
/// Changes that wait to be judged.
const MOST_CHANGES: usize = 1;
/// How long to rest when a connection cannot be taken, for want of descriptors.
const REST: Duration = Duration::from_millis(100);

/// What the admin side is made from.
pub struct Setup {
    /// Where it listens.
    pub doors: Doors,
    /// What it says of the service.
    pub service: watch::Receiver<Service>,
    /// Whom it looks at.
    pub ground: Ground,
    /// How it asks whether the database is reached.
    pub probe: Probe,
    /// Who judges changes.
    pub changes: mpsc::Sender<Change>,
}

/// The running admin side.
#[derive(Debug)]
pub struct Admin {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

/// The way of changes to who judges them.
pub fn changes() -> (mpsc::Sender<Change>, mpsc::Receiver<Change>) {
    mpsc::channel(MOST_CHANGES)
}

impl Admin {
    /// Starts its thread.
    pub fn start(setup: Setup) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            let kept = || runtime.and_then(|runtime| runtime.block_on(keep(setup, stopped)));
            // Nothing of it is used after a panic.
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(kept));
            if let Err(error) = ended.unwrap_or_else(|_| Err(io::Error::other("it panicked"))) {
                tracing::error!("the admin side is gone, and the service goes on without it: {error}");
            }
        };
        let thread = std::thread::Builder::new().name("admin".into()).spawn(run)?;
        Ok(Self { thread, stop })
    }

    /// Closes the listeners, takes the socket's file away, and waits for the thread.
    pub fn stop(self) {
        // It has ended already where it failed, which it said.
        let _ = self.stop.send(());
        // A panic has told of itself there.
        let _ = self.thread.join();
    }
}

/// Answers until it is told to stop.
async fn keep(setup: Setup, stopped: oneshot::Receiver<()>) -> io::Result<()> {
    let Setup { doors, service, ground, probe, changes } = setup;
    let office = Rc::new(Office::new(service, Processes::new(ground), changes, probe));
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut open = JoinSet::new();
    if let Door::Open((listener, _)) = doors.tcp {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let accept = async move || Ok(listener.accept().await?.0);
        open.spawn_local(take_in(accept, Rc::clone(&office), Entrance::Tcp, Arc::clone(&places)));
    }
    // Held to the end: its file goes when it is dropped.
    let socket = doors.socket;
    if let Door::Open(socket) = &socket {
        let listener = tokio::net::UnixListener::from_std(socket.listener.try_clone()?)?;
        let accept = async move || Ok(listener.accept().await?.0);
        open.spawn_local(take_in(accept, Rc::clone(&office), Entrance::Socket, places));
    }
    tokio::select! {
        // A sender that went without a word is as good as a stop.
        _ = stopped => {}
        () = office.keep_sampling() => {}
        // They go on for good, but for a panic.
        Some(ended) = open.join_next() => return ended.map_err(io::Error::other),
    }
    drop(socket);
    Ok(())
}

/// Takes connections as long as there are places.
async fn take_in<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    accept: impl AsyncFn() -> io::Result<S>,
    office: Rc<Office>,
    entrance: Entrance,
    places: Arc<Semaphore>,
) {
    // Nobody closes it.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let stream = match accept().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!("the admin side cannot take a connection: {error}");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let office = Rc::clone(&office);
        tokio::task::spawn_local(async move {
            connection::serve(stream, |request| {
                let office = Rc::clone(&office);
                async move { answer(&office, entrance, request).await }
            })
            .await;
            drop(place);
        });
    }
}
