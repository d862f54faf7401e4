//! Sockets, threads and connections: the way of a request up to the router and of its answer back.
//!
//! [`socket`] opens the listeners; [`Server::start`] gives each worker its own and a thread to run on ([`worker`]), which
//! [`placement`] has scheduled as the settings say; the worker accepts ([`accept`]) while there are places ([`admission`]), runs each
//! connection as a task ([`connection`]) and parks it while it is idle ([`parking`], [`reception`]), until it is told to stop ([`stop`]).
//!
//! **Invariant:** nothing crosses threads on the way of a request: it is accepted, answered and closed on one worker.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use crate::config::database::Dispatch;
use crate::config::{LabArgs, LimitsArgs, WorkersArgs};
use crate::database::{PoolSettings, Reach};
use crate::http::Lab;

mod accept;
mod admission;
mod connection;
mod parking;
mod placement;
mod readable;
mod reception;
pub mod socket;
mod stop;
mod worker;

pub(crate) use admission::Capacity;
pub use admission::Reserve;
pub(crate) use placement::Placement;
pub use socket::Listeners;
pub use stop::Stop;

/// What a server is made from, besides its listeners.
pub(crate) struct Settings {
    /// How the workers' threads are scheduled.
    pub(crate) workers: WorkersArgs,
    /// Time limits.
    pub(crate) limits: LimitsArgs,
    /// How many connections there may be, over all workers.
    pub(crate) capacity: Arc<Capacity>,
    /// How requests share database connections.
    pub(crate) dispatch: Dispatch,
    /// Whether the routes of `--lab` are served.
    pub(crate) lab: LabArgs,
    /// The pool of each worker, in order; their number is the number of workers.
    pub(crate) pools: Vec<PoolSettings>,
    /// Where workers say whether the database is reached.
    pub(crate) reach: Arc<Reach>,
}

/// How a worker ended, by its index.
#[derive(Debug)]
pub(crate) struct WorkerEnd {
    /// Which worker.
    pub(crate) worker: usize,
    /// What stopped it, where it was not asked to stop.
    pub(crate) failure: Option<String>,
}

/// A running server.
pub(crate) struct Server {
    threads: Vec<JoinHandle<()>>,
    placement: Placement,
    stop: watch::Sender<Stop>,
    ends: mpsc::UnboundedReceiver<WorkerEnd>,
}

impl Server {
    /// Starts a thread for each worker and waits until each accepts connections.
    pub(crate) fn start(listeners: Listeners, settings: Settings) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(Stop::Run);
        let (end, ends) = mpsc::unbounded_channel();
        let (tell_placed, placed) = std::sync::mpsc::channel();
        let lab = Lab::start(&settings.lab)?;
        let mut threads = Vec::with_capacity(settings.pools.len());
        for (index, (listeners, pool)) in listeners.into_shares().zip(settings.pools).enumerate() {
            let share = worker::Share {
                listeners,
                pool,
                limits: settings.limits.clone(),
                capacity: Arc::clone(&settings.capacity),
                dispatch: settings.dispatch,
                lab: lab.clone(),
                reach: Arc::clone(&settings.reach),
                stop: stopped.clone(),
            };
            // Sent by drop too, so that a worker that panics is not silent.
            let mut report = worker::Report::new(index, end.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{index}"));
            let (sched, pin, tell_placed) =
                (settings.workers.sched, settings.workers.pin, tell_placed.clone());
            threads.push(thread.spawn(move || {
                let placed = placement::place(index, sched, pin);
                // Heard by the start below, which waits for each worker to say that it accepts, or to end.
                let tell_ready = move || {
                    let _ = tell_placed.send(placed);
                };
                report.ended_with(worker::run(share, tell_ready));
            })?);
        }
        drop(tell_placed);
        let placement = Placement::of(&placed.iter().collect::<Vec<_>>());
        Ok(Self { threads, placement, stop, ends })
    }

    /// How the system schedules the workers.
    pub(crate) fn placement(&self) -> Placement {
        self.placement
    }

    /// Tells all workers to stop, gently or at once.
    pub(crate) fn stop(&self, stop: Stop) {
        self.stop.send_replace(stop);
    }

    /// Waits for the next worker to end; `None` when all have.
    pub(crate) async fn next_end(&mut self) -> Option<WorkerEnd> {
        if self.threads.is_empty() { None } else { self.ends.recv().await }
    }

    /// Waits for all workers' threads.
    pub(crate) fn join(self) {
        for thread in self.threads {
            // A panic was reported as the worker's end already.
            let _ = thread.join();
        }
    }
}
