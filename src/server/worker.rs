//! Step 3 of 7, worker: one thread, one event loop, one share of the database connections.
//!
//! **Invariant:** a worker ends when it was told to stop, after a drain or at once, or because a task of its own panicked; whichever it
//! was, its end is reported ([`super::threads`]). A panic that cost a request or a connection alone ends no worker.
//!
//! Before: [`super::accept`]. After: [`super::connection`].

use std::cell::{Cell, RefCell};
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use slab::Slab;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::time::Instant;

use super::accept;
use super::admission::{Arrival, FullHouse, WorkerPlaces};
use super::connection::ConnectionState;
use super::heartbeat::Beat;
use super::parking::Parking;
use super::readable::watch_listener;
use super::reception::CROWD;
use super::stop::{Phase, Stop};
use super::view::Seen;
use crate::config::LimitsArgs;
use crate::config::database::Dispatch;
use crate::database::{Database, PoolSettings, Reach};
use crate::http::{Context, DateClock, Lab};
use crate::telemetry::labels::CloseReason;
use crate::telemetry::panics;

/// What connections read into before the bytes are checked and handed on; one for all, since a read is done within a turn.
const SCRATCH: usize = 64 * 1024;

/// What one worker is started with.
pub(super) struct Share {
    pub(super) index: usize,
    pub(super) intake: Intake,
    pub(super) pool: PoolSettings,
    pub(super) limits: LimitsArgs,
    pub(super) places: Arc<WorkerPlaces>,
    pub(super) dispatch: Dispatch,
    pub(super) lab: Option<Lab>,
    pub(super) reach: Arc<Reach>,
    pub(super) stop: watch::Receiver<Stop>,
    /// Whether requests for the database are held back.
    pub(super) paused: watch::Receiver<bool>,
    /// Bytes that all workers should free together.
    pub(super) wanted: watch::Receiver<u64>,
    /// How many workers those are.
    pub(super) workers: u64,
    pub(super) seen: Seen,
    pub(super) beat: Arc<Beat>,
}

/// How connections come to a worker.
pub(super) enum Intake {
    /// It accepts them itself.
    Listeners(Vec<TcpListener>),
    /// An acceptor sends them.
    Queue(Arc<Mutex<mpsc::Receiver<Arrival>>>),
}

impl Share {
    /// The same again: on the same sockets, counting on where the other counted.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let intake = match &self.intake {
            Intake::Queue(queue) => Intake::Queue(Arc::clone(queue)),
            Intake::Listeners(listeners) => {
                Intake::Listeners(listeners.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?)
            }
        };
        Ok(Self {
            index: self.index,
            intake,
            pool: self.pool.clone(),
            limits: self.limits.clone(),
            places: Arc::clone(&self.places),
            dispatch: self.dispatch,
            lab: self.lab.clone(),
            reach: Arc::clone(&self.reach),
            stop: self.stop.clone(),
            paused: self.paused.clone(),
            seen: self.seen.clone(),
            beat: Arc::clone(&self.beat),
            wanted: self.wanted.clone(),
            workers: self.workers,
        })
    }
}

/// What the connections of one worker share.
pub(super) struct Worker {
    pub(super) context: Context,
    pub(super) limits: LimitsArgs,
    pub(super) phase: Cell<Phase>,
    pub(super) scratch: RefCell<Box<[u8]>>,
    /// Answers of pipelined requests, gathered within a turn of one connection.
    pub(super) gathered: RefCell<Vec<u8>>,
    /// Those that are served; the others are parked.
    pub(super) connections: RefCell<Slab<Rc<ConnectionState>>>,
    pub(super) parking: Parking,
    pub(super) places: Arc<WorkerPlaces>,
    pub(super) full_house: FullHouse,
    /// Served connections past which idle ones are parked at once.
    pub(super) crowd: Cell<usize>,
    /// Accept loops that still run, or the acceptor's queue.
    accepting: Cell<usize>,
    /// Wakes a drain that waits for the last connection and the last accept loop.
    emptied: Notify,
}

/// Runs a worker to its end; says when it accepts connections.
pub(super) fn run(share: Share, tell_ready: impl FnOnce()) -> Result<(), String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(|error| format!("its event loop cannot be made: {error}"))?;
    let (counters, pulse) = (Arc::clone(&share.seen.counters), Arc::clone(&share.seen.pulse));
    let places = Arc::clone(&share.places);
    let outcome = runtime.block_on(async {
        counters.thread_id.set_current();
        places.begin();
        pulse.begin();
        let stop = share.stop.clone();
        let worker = start(share)?;
        tell_ready();
        let outcome = tokio::select! {
            biased;
            () = panics::uncontained() => {
                counters.panics.note();
                Err("a task of its own panicked".to_owned())
            }
            () = worker.work(stop) => Ok(()),
        };
        let cut = worker.connections.borrow().iter().filter(|(_, connection)| connection.is_busy()).count();
        if cut > 0 {
            tracing::warn!("{cut} requests were cut off");
        }
        // Those that are served count themselves out as their tasks are dropped.
        counters.note_closes(CloseReason::Drain, worker.parking.len());
        worker.context.database.close();
        outcome
    });
    places.end();
    pulse.look(counters.thread_id.read());
    // A look-up of names that is still under way has a thread of its own, and is not waited for.
    runtime.shutdown_background();
    outcome
}

fn start(share: Share) -> Result<Rc<Worker>, String> {
    let deadline = share.limits.request_deadline;
    let counters = Arc::clone(&share.seen.counters);
    counters.pool.clear();
    let database =
        Database::start(share.dispatch, share.pool, &share.reach, &share.paused, Arc::clone(&counters))?;
    let parking = Parking::open(share.limits.idle_timeout)
        .map_err(|error| format!("idle connections cannot be watched: {error}"))?;
    let worker = Rc::new(Worker {
        context: Context::new(database, deadline, share.lab, counters),
        parking,
        places: share.places,
        full_house: FullHouse::default(),
        crowd: Cell::new(CROWD),
        limits: share.limits,
        phase: Cell::new(Phase::Serving),
        scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
        gathered: RefCell::default(),
        connections: RefCell::default(),
        accepting: Cell::new(0),
        emptied: Notify::new(),
    });
    tokio::task::spawn_local(share.beat.answer());
    tokio::task::spawn_local(keep_date(Rc::clone(&worker)));
    tokio::task::spawn_local(Rc::clone(&worker).wake_parked());
    tokio::task::spawn_local(Rc::clone(&worker).expire_parked());
    tokio::task::spawn_local(Rc::clone(&worker).give_memory_back());
    tokio::task::spawn_local(Rc::clone(&worker).shed(share.wanted, share.workers));
    let index = u32::try_from(share.index).unwrap_or(u32::MAX);
    tokio::task::spawn_local(Rc::clone(&worker).list_connections(index, share.seen.questions));
    match share.intake {
        Intake::Listeners(listeners) => {
            for listener in listeners {
                let listener = watch_listener(listener)
                    .map_err(|error| format!("its listener cannot be watched: {error}"))?;
                let stop = share.stop.clone();
                worker.take_by(async move |worker| accept::accept(listener, worker, stop).await);
            }
        }
        Intake::Queue(queue) => worker.take_by(async move |worker| worker.take_from(queue).await),
    }
    Ok(worker)
}

/// Renders the `Date` header at the turn of each second.
async fn keep_date(worker: Rc<Worker>) {
    loop {
        let now = SystemTime::now();
        worker.context.date.set(now);
        tokio::time::sleep(DateClock::until_next_second(now)).await;
    }
}

impl Worker {
    /// Takes connections in by a task, which counts as open until it ends.
    fn take_by(self: &Rc<Self>, way: impl AsyncFnOnce(&Rc<Self>) + 'static) {
        self.accepting.set(self.accepting.get() + 1);
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            way(&worker).await;
            worker.accepting.set(worker.accepting.get() - 1);
            worker.tell_if_empty();
        });
    }

    /// Serves until it is told to stop, and then to the end.
    async fn work(self: &Rc<Self>, mut stop: watch::Receiver<Stop>) {
        // The sender lives as long as the server; a closed channel means that the program is ending.
        if stop.wait_for(|stop| *stop != Stop::Run).await.is_ok_and(|stop| *stop != Stop::Now) {
            tokio::select! {
                () = self.drain() => {}
                _ = stop.wait_for(|stop| *stop == Stop::Now) => {}
            }
        }
    }

    /// Ends all connections, giving each its due: see the interface's "Stop".
    async fn drain(self: &Rc<Self>) {
        let begin = Instant::now();
        self.phase.set(Phase::Draining);
        if tokio::time::timeout_at(begin + self.limits.drain_grace, self.until_empty()).await.is_ok() {
            return;
        }
        self.phase.set(Phase::Closing);
        for (_, connection) in self.connections.borrow().iter() {
            connection.wake();
        }
        let rest = async {
            self.close_parked().await;
            self.until_empty().await;
        };
        // What is not done at the deadline is counted by the caller.
        let _ = tokio::time::timeout_at(begin + self.limits.drain_deadline, rest).await;
    }

    async fn until_empty(&self) {
        while !self.is_empty() {
            self.emptied.notified().await;
        }
    }

    /// Whether nothing is connected and nothing more will be: the accept loops have taken what waited in the backlog.
    fn is_empty(&self) -> bool {
        self.accepting.get() == 0 && self.connections.borrow().is_empty() && self.parking.is_empty()
    }

    /// Whether the worker was told to end, and does so gently.
    pub(super) fn is_draining(&self) -> bool {
        self.phase.get() != Phase::Serving
    }

    pub(super) fn tell_if_empty(&self) {
        if self.is_empty() {
            self.emptied.notify_one();
        }
    }
}
