//! Gives a worker's pool its size: the one that a reload or an order asks for, and with `--pool-per-core auto` the one that serves most.
//!
//! **Invariant:** the size stays within the worker's share of the plan, whatever is measured.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::plan::PoolSize;
use super::session::{Access, Way};
use crate::telemetry::histogram::Distribution;
use crate::tuning::controller::{Bounds, Controller, Look};

/// How often it is looked whether another size would serve more.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A look over fewer answers than this says little, and is made longer, up to [`LONGEST_LOOK`], and until what is under way is answered.
const LEAST_ANSWERS: u64 = 40;
/// A look over this long is one, however few answers came.
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// The same while requests are under way: longer than any of them may take.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Requests that wait for a connection, on average, from which more connections are wanted.
const WAITING: f64 = 0.5;
/// Queries that share a lane before another one is of use.
const SHARE_A_LANE: f64 = 16.0;

/// Sizes the pool until the worker ends.
pub(super) async fn steer(access: Access, mut sizes: watch::Receiver<PoolSize>) {
    let first = *sizes.borrow_and_update();
    let mut steering = Steering::new(&access, first);
    let mut may_change = true;
    loop {
        tokio::select! {
            changed = sizes.changed(), if may_change => match changed {
                Ok(()) => {
                    let size = *sizes.borrow_and_update();
                    steering.take(size);
                }
                // Where nobody changes sizes, the sender is gone from the start.
                Err(_) => may_change = false,
            },
            () = tokio::time::sleep(LOOK_EVERY), if steering.is_open() => steering.look(),
            else => return,
        }
    }
}

/// One worker's pool and what is known of it.
struct Steering<'a> {
    access: &'a Access,
    size: PoolSize,
    controller: Controller,
    seen: Seen,
    /// Whether what was counted since the last look is of requests that were held back.
    is_late: bool,
}

/// What was counted up to the last look.
struct Seen {
    at: Instant,
    database: Distribution,
    waits: Distribution,
}

impl Seen {
    fn now(access: &Access) -> Self {
        let counters = access.counters();
        Self { at: Instant::now(), database: counters.database_time.read(), waits: counters.pool_wait.read() }
    }
}

impl<'a> Steering<'a> {
    fn new(access: &'a Access, size: PoolSize) -> Self {
        let controller = Controller::new(bounds(size), size.first());
        Self { access, size, controller, seen: Seen::now(access), is_late: false }
    }

    /// Whether there is something to be found.
    fn is_open(&self) -> bool {
        self.size.least < self.size.most
    }

    /// Takes other bounds; a pool that stays within them keeps its size.
    fn take(&mut self, size: PoolSize) {
        if self.is_open() {
            self.controller.rebound(bounds(size));
        } else {
            self.controller = Controller::new(bounds(size), size.first());
        }
        self.size = size;
        self.seen = Seen::now(self.access);
        self.access.resize(self.controller.size());
    }

    /// Looks at what was measured, and gives the pool the size that follows.
    fn look(&mut self) {
        let Some(look) = self.measure() else { return };
        let before = self.controller.size();
        let size = self.controller.look(look);
        if size != before {
            tracing::debug!("{before} database connections become {size}: {look:?}");
            self.access.resize(size);
        }
    }

    /// What came since the last look; nothing where too little came to say anything.
    fn measure(&mut self) -> Option<Look> {
        if self.access.is_held_back() {
            // What is held back waits for no connection, and says nothing of their number.
            self.is_late = true;
            return None;
        }
        let now = Seen::now(self.access);
        let within = now.at.duration_since(self.seen.at);
        let database = now.database.since(&self.seen.database);
        let pool = &self.access.counters().pool;
        let (is_waiting, is_busy) = (pool.waiting.read() > 0, pool.size.read() > pool.available.read());
        let is_under_way = is_waiting || is_busy;
        // Where nothing was asked there is nothing to wait for.
        let is_quiet = database.count() == 0 && !is_under_way;
        let may_wait = within < if is_under_way { LONGEST_WAIT } else { LONGEST_LOOK };
        if database.count() < LEAST_ANSWERS && may_wait && !is_quiet {
            return None;
        }
        let waits = now.waits.since(&self.seen.waits);
        self.seen = now;
        if std::mem::take(&mut self.is_late) {
            return None;
        }
        let seconds = within.as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            reason = "what is answered between two looks stays far below 2^52"
        )]
        let rate = database.count() as f64 / seconds;
        // Of no answers there is no mean: nothing was held.
        let held = database.mean().unwrap_or_default().as_secs_f64();
        let at_once = rate * held;
        let waiting = waits.sum().as_secs_f64() / seconds;
        let waited = if rate > 0.0 { waiting / rate } else { 0.0 };
        Some(match self.access.way() {
            Way::Exclusive(_) => {
                Look { within: seconds, rate, waited, held, wanting: waiting >= WAITING, in_use: at_once }
            }
            Way::Pipelined(lanes) => Look {
                within: seconds,
                rate,
                waited,
                held,
                wanting: lanes.take_wanted_more() || waiting >= WAITING,
                in_use: (at_once / SHARE_A_LANE).min(f64::from(self.controller.size())),
            },
        })
    }
}

fn bounds(size: PoolSize) -> Bounds {
    Bounds { least: size.least, most: size.most }
}
