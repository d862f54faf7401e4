//! Watches over the deadlines of all requests on a worker's lanes, and notes the lanes' pace.
//!
//! A timer for each request would cost more than the request's own work in this crate. Since a query that outlives its
//! deadline takes its whole connection with it, one look over the lanes every [`TICK`] does as well, and none is taken while
//! nothing is in flight.
//!
//! **Invariant:** a request is answered at its deadline plus [`TICK`] at the latest.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Lanes;

/// How often the lanes are looked over while requests are in flight.
const TICK: Duration = Duration::from_millis(50);

/// Wakes the watch when there is something to watch.
#[derive(Default)]
pub(super) struct Alarm {
    armed: Cell<bool>,
    wake: Notify,
}

impl Alarm {
    /// Called for each request; costs a flag while the watch is awake.
    pub(super) fn arm(&self) {
        if !self.armed.replace(true) {
            self.wake.notify_one();
        }
    }
}

/// Ends lanes with overdue requests, until the worker's runtime ends.
pub(super) async fn watch(lanes: Rc<Lanes>) {
    loop {
        lanes.watch.wake.notified().await;
        while lanes.watch.armed.get() {
            tokio::time::sleep(TICK).await;
            let now = Instant::now();
            let open = lanes.open.borrow();
            for lane in open.iter() {
                lane.note_pace(TICK);
            }
            let mut ended = false;
            for lane in open.iter().filter(|lane| lane.is_overdue(now)) {
                tracing::warn!("a query outlived the request deadline; its database connection is replaced");
                lane.end();
                ended = true;
            }
            drop(open);
            if ended {
                lanes.forget_closed();
            }
            lanes.end_surplus();
            let open = lanes.open.borrow();
            lanes.watch.armed.set(open.iter().any(|lane| lane.in_flight() > 0 && !lane.is_closed()));
        }
    }
}
