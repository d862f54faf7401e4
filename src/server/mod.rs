//! Sockets, threads and connections: the way of a request up to the router and of its answer back.
//!
//! [`socket`] opens the listeners; [`Server::start`] gives each worker its own, or an acceptor ([`handoff`]), and a thread to run on
//! ([`worker`], kept by [`threads`], started again by the waits of [`restart`]), which [`placement`] has scheduled as the settings say;
//! the worker accepts ([`accept`]) while there are places ([`admission`]), runs each connection as a task ([`connection`]) and parks it
//! while it is idle ([`parking`], [`reception`]), until it is told to stop ([`stop`]).
//! Where memory runs short ([`shortage`]) load is shed ([`shedding`]). Other threads look at a worker through its [`view`], have its
//! connections listed by its [`census`], and see by its [`heartbeat`] whether its event loop turns.
//!
//! **Invariant:** nothing crosses threads on the way of a request: its connection is served and closed on one worker, which has accepted
//! it, or was given it once by the acceptor.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use crate::config::database::Dispatch;
use crate::config::workers::Accept;
use crate::config::{LabArgs, LimitsArgs, WorkersArgs};
use crate::database::{PoolSettings, Reach};
use crate::http::Lab;

mod accept;
mod admission;
mod census;
mod connection;
mod handoff;
mod heartbeat;
mod parking;
mod placement;
mod readable;
mod reception;
mod restart;
mod shedding;
mod shortage;
pub mod socket;
mod stop;
mod threads;
mod view;
mod worker;

pub(crate) use admission::Capacity;
pub use admission::Reserve;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use connection::properties::check_heads;
pub(crate) use heartbeat::Heartbeat;
pub(crate) use placement::Placement;
pub(crate) use restart::Restart;
pub use socket::Listeners;
pub use stop::Stop;
pub(crate) use stop::end_patience;
pub(crate) use threads::ThreadEnd;
pub(crate) use view::WorkerView;

use admission::WorkerPlaces;
use handoff::Acceptor;
use stop::StopLimits;
use threads::{Seed, Threads};
use worker::Intake;

/// What a server is made from, besides its listeners.
pub(crate) struct Settings {
    /// How connections come to the workers, and how their threads are scheduled.
    pub(crate) workers: WorkersArgs,
    /// Time limits.
    pub(crate) limits: LimitsArgs,
    /// How many connections there may be, over all workers.
    pub(crate) capacity: Arc<Capacity>,
    /// How requests share database connections.
    pub(crate) dispatch: Dispatch,
    /// Whether the routes of `--lab` are served.
    pub(crate) lab: LabArgs,
    /// Whether somebody else goes on with the listeners when this server has ended.
    pub(crate) listeners_are_lent: bool,
    /// How much longer than its deadline a stop may take before threads that have not ended are given up.
    pub(crate) end_patience: Duration,
    /// The pool of each worker, in order; their number is the number of workers.
    pub(crate) pools: Vec<PoolSettings>,
    /// Where workers say whether the database is reached.
    pub(crate) reach: Arc<Reach>,
}

/// A running server.
pub(crate) struct Server {
    threads: Threads,
    placement: Placement,
    stop: watch::Sender<Stop>,
    pause: watch::Sender<bool>,
    views: Vec<WorkerView>,
    heartbeat: Heartbeat,
    listeners_are_lent: bool,
    capacity: Arc<Capacity>,
    watching: shortage::Watching,
}

impl Server {
    /// Starts a thread for each worker, and the acceptor's where there is one, and waits until each of them is at work; where one
    /// fails to begin, the others are ended and the error says why.
    pub(crate) fn start(listeners: Vec<TcpListener>, settings: Settings) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(Stop::Run);
        let (pause, paused) = watch::channel(false);
        let (tell_placed, placed) = std::sync::mpsc::channel();
        let lab = Lab::start(&settings.lab)?;
        let (capacity, listeners_are_lent) = (&settings.capacity, settings.listeners_are_lent);
        let (want, wanted) = watch::channel(0);
        let watching = shortage::watch(Arc::clone(capacity), want)?;
        let workers = settings.pools.len();
        let of_workers: Vec<_> = (0..workers).map(|_| WorkerPlaces::new(Arc::clone(capacity))).collect();
        let (views, seen): (Vec<_>, Vec<_>) = of_workers.iter().map(WorkerView::of).unzip();
        let limits = StopLimits {
            drain_deadline: settings.limits.drain_deadline,
            end_patience: settings.end_patience,
        };
        let mut threads = Threads::new(limits);
        let mut heartbeat = Heartbeat::default();
        let intakes: Vec<Intake> = if settings.workers.accept == Accept::Handoff {
            // There is no server without a worker.
            let of_first = seen.first().map(|seen| Arc::clone(&seen.counters)).unwrap_or_default();
            let (acceptor, queues) = Acceptor::new(Arc::clone(capacity), of_first, &of_workers);
            let (stop, tell_placed) = (stopped.clone(), tell_placed.clone());
            let (beat, tell_ready) = (heartbeat.of_thread("acceptor"), move || drop(tell_placed.send(None)));
            threads.start("acceptor", move || acceptor.run(listeners, stop, beat, tell_ready))?;
            queues.into_iter().map(|queue| Intake::Queue(Arc::new(Mutex::new(queue)))).collect()
        } else {
            let shares = socket::share_out(listeners, settings.workers.accept, workers)?;
            shares.into_iter().map(Intake::Listeners).collect()
        };
        let makings = settings.pools.into_iter().zip(of_workers).zip(seen).zip(intakes);
        for (index, (((pool, places), seen), intake)) in makings.enumerate() {
            let share = worker::Share {
                index,
                intake,
                pool,
                limits: settings.limits.clone(),
                places,
                dispatch: settings.dispatch,
                lab: lab.clone(),
                reach: Arc::clone(&settings.reach),
                stop: stopped.clone(),
                paused: paused.clone(),
                wanted: wanted.clone(),
                workers: workers as u64,
                seen,
                beat: heartbeat.of_thread(&format!("worker {index}")),
            };
            let (sched, pin, tell_placed) =
                (settings.workers.sched, settings.workers.pin, tell_placed.clone());
            // Heard by the start below, which waits for each thread to say that it is at work, or to end.
            let tell_ready = move |placed| drop(tell_placed.send(Some(placed)));
            threads.start_worker(Seed { share, sched, pin }, tell_ready)?;
        }
        drop(tell_placed);
        let told: Vec<_> = placed.iter().collect();
        if told.len() < threads.len() {
            let _ = stop.send(Stop::Now);
            threads.join();
            return Err(io::Error::other(threads.failures()));
        }
        let placement = Placement::of(&told.into_iter().flatten().collect::<Vec<_>>());
        let capacity = settings.capacity;
        Ok(Self { threads, placement, stop, pause, views, heartbeat, listeners_are_lent, capacity, watching })
    }

    /// How the system schedules the workers.
    pub(crate) fn placement(&self) -> Placement {
        self.placement
    }

    /// What may be seen of each worker, in order.
    pub(crate) fn views(&self) -> Vec<WorkerView> {
        self.views.clone()
    }

    /// By which it is seen whether their event loops turn, and the acceptor's.
    pub(crate) fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone()
    }

    /// How many connections there may be, and whether memory suffices for more.
    pub(crate) fn capacity(&self) -> Arc<Capacity> {
        Arc::clone(&self.capacity)
    }

    /// Tells all workers to stop, gently or at once; what was said before is not taken back. Requests that are held back go on, so that
    /// they are answered before the workers end.
    pub(crate) fn stop(&mut self, stop: Stop) {
        // A drain closes listeners to newcomers for good, whoever holds them too.
        let stop = if self.listeners_are_lent && stop == Stop::Drain { Stop::Retire } else { stop };
        if !self.is_stopping() {
            self.threads.begin_to_end(stop != Stop::Now);
        }
        self.threads.limit(stop);
        self.stop.send_if_modified(|before| {
            let is_more = stop > *before;
            *before = stop.max(*before);
            is_more
        });
        if self.is_stopping() {
            self.pause.send_replace(false);
        }
    }

    /// Hears when the workers are told to stop.
    pub(crate) fn watch_stop(&self) -> watch::Receiver<Stop> {
        self.stop.subscribe()
    }

    /// What holds requests for the database back while it is true, and lets them go on. What runs goes on; new ones wait as for a
    /// connection, no longer than their deadline and no more than may wait for one.
    pub(crate) fn brake(&self) -> watch::Sender<bool> {
        self.pause.clone()
    }

    /// Whether the workers were told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow() != Stop::Run
    }

    /// Waits for the next thread to end for good; `None` when all have, or those that hang are given up: some time past the deadline of the
    /// stop. A worker that ends without being asked is started again meanwhile.
    pub(crate) async fn next_end(&mut self) -> Option<ThreadEnd> {
        self.threads.next_end().await
    }

    /// Waits for all threads but those that were given up, whose names it gives: they end with the process.
    pub(crate) fn join(mut self) -> Vec<String> {
        drop(self.watching);
        self.threads.join()
    }
}
