//! This process as it answers for itself: its workers' views, and what else is known of it.
//!
//! **Invariant:** it may be asked from any thread, for as long as anybody holds it, also when the server has ended.

use std::num::NonZeroU32;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use tokio::sync::watch;

use super::room::Room;
use crate::database::replicas::Fleet;
use crate::database::{PoolSize, Reach};
use crate::kernel::usage::resident_bytes;
use crate::server::{Capacity, Server, Stop, WorkerView};
use crate::telemetry::listing::{Filter, Listing};
use crate::telemetry::questions::Respondent;
use crate::telemetry::snapshot::Process;

/// What may be seen and changed of this process.
pub(super) struct Inside {
    seat: Seat,
    max_connections: u64,
    views: Vec<WorkerView>,
    reach: Arc<Reach>,
    /// The replicas that are read from, if there are any.
    reads: Option<Arc<Fleet>>,
    stop: watch::Receiver<Stop>,
    brake: watch::Sender<bool>,
    sizes: Vec<watch::Sender<PoolSize>>,
    capacity: Arc<Capacity>,
}

/// Where its workers stand among all of the service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    /// The process, from 0.
    pub(super) index: u32,
    /// Its first worker, counted over all processes.
    pub(super) first_worker: u32,
    /// All workers.
    pub(super) workers: NonZeroU32,
}

impl Inside {
    pub(super) fn of(
        server: &Server,
        seat: Seat,
        room: Room,
        (reach, reads): (Arc<Reach>, Option<Arc<Fleet>>),
        sizes: Vec<watch::Sender<PoolSize>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            seat,
            max_connections: room.connections as u64,
            views: server.views(),
            reach,
            reads,
            stop: server.watch_stop(),
            brake: server.brake(),
            sizes,
            capacity: server.capacity(),
        })
    }
}

impl Respondent for Inside {
    fn snapshot(&self) -> Process {
        let (is_reached, database_trouble) = self.reach.tell();
        // With the primary away, replicas serve what is only read, which is most: such a process is not one to be left out.
        let database_reached = is_reached || self.reads.as_ref().is_some_and(|fleet| fleet.serves());
        // What keeps replicas from serving costs reads a second attempt, and is told though they are served.
        let of_reads = || Some(format!("reads: {}", self.reads.as_ref()?.trouble()?));
        let open = self.reach.open();
        Process {
            index: self.seat.index,
            pid: std::process::id(),
            draining: *self.stop.borrow() != Stop::Run,
            database_trouble: database_trouble.or_else(of_reads),
            database_reached,
            primary_open: open,
            database_open: open + self.reads.as_ref().map_or(0, |fleet| fleet.open()),
            hosts: self.reads.as_ref().map(|fleet| fleet.look(open)).unwrap_or_default(),
            reads_trouble: self.reads.as_ref().and_then(|fleet| fleet.refusal()),
            paused: *self.brake.borrow(),
            resident_bytes: resident_bytes(),
            memory_limit_bytes: self.capacity.shortage().limit_bytes(),
            memory_trouble: self.capacity.shortage().trouble(),
            max_connections: self.max_connections,
            silent: false,
            workers: self.views.iter().map(WorkerView::read).collect(),
        }
    }

    fn list(&self, filter: Filter) -> BoxFuture<'_, Listing> {
        let rows = filter.rows;
        let asked = join_all(self.views.iter().map(|view| view.list(filter.clone())));
        let all = asked.map(move |answered| {
            let mut all = Listing::default();
            for listing in answered {
                all.add(listing.unwrap_or(Listing { silent_workers: 1, ..Listing::default() }), rows);
            }
            all
        });
        all.boxed()
    }

    fn pause(&self, paused: bool) {
        // What is held back while it ends would be cut off, not answered.
        let is_stopping = *self.stop.borrow() != Stop::Run;
        self.brake.send_replace(paused && !is_stopping);
    }

    fn resize(&self, total: u32) {
        let Seat { first_worker, workers, .. } = self.seat;
        for (worker, size) in (first_worker..).zip(&self.sizes) {
            size.send_replace(PoolSize::share(total, total, workers, worker));
        }
    }
}
