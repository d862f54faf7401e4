//! Opens lanes, one at a time for each worker, until PostgreSQL lets one in.
//!
//! **Invariant:** attempts are spaced by a growing, jittered wait: 300 ms at most while no lane is open, longer for an
//! additional one, so that a PostgreSQL that is full or away is asked, not stormed.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::super::backoff::Backoff;
use super::super::direct::Direct;
use super::super::error::Error;
use super::super::pool;
use super::super::reach::Trouble;
use super::super::statements::Statements;
use super::{Lane, Lanes, Work, Works, count};
use crate::config::database::Driver;

/// PostgreSQL may count a session for so long after its socket was closed: its process notices that, and ends.
const PLACE_IS_FREE_WITHIN: Duration = Duration::from_secs(1);

/// Opens one lane and wakes the requests that wait for it; goes on trying until it is open.
pub(super) async fn open_one(lanes: Rc<Lanes>) {
    let (mut backoff, mut failed) = (Backoff::new(), 0);
    loop {
        match lease(&lanes).await {
            Ok(lane) => {
                lanes.take_in(lane);
                // While it was being opened all replicas may have been left out.
                lanes.lost.set(lanes.settings.reads.as_ref().is_some_and(|fleet| !fleet.is_in_use()));
                lanes.short.set(0);
                lanes.unprepared.set(false);
                lanes.opening.set(false);
                if !lanes.open.borrow().is_empty() {
                    lanes.reach.reached();
                }
                lanes.wake_all();
                return;
            }
            // What is held since is not prepared in the next attempt.
            Err(None) => {}
            Err(Some(trouble)) => {
                failed += 1;
                let most = note_failure(&lanes, trouble, failed);
                let wait = backoff.next(&mut lanes.random.borrow_mut(), most);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    // The lanes that were there are gone: what was one more is now the first.
                    () = lanes.alone.notified(), if most > Backoff::MOST => backoff = Backoff::new(),
                }
            }
        }
    }
}

impl Lanes {
    /// Takes a lane in that was opened just now; where there are enough by now, or its replica was left out meanwhile, it ends again.
    pub(super) fn take_in(&self, lane: Lane) {
        self.tell_standing(&lane);
        let lane = Rc::new(lane);
        let mut open = self.open.borrow_mut();
        lane.set_surplus(open.len() >= self.max_size.get() as usize);
        open.push(Rc::clone(&lane));
        if self.replaced.opened(count(open.iter())) {
            self.counters.reconnects.note();
        }
        drop(open);
        self.leave_where_left_out(&lane);
        self.end_surplus();
        self.show();
    }

    /// Whether an old lane ended a moment ago, whose place in PostgreSQL may not be free yet.
    fn is_replacing(&self) -> bool {
        self.replaced_at.get().is_some_and(|at| at.elapsed() < PLACE_IS_FREE_WITHIN)
    }
}

/// Says what a failed attempt means, and how long the next one may wait at the most.
fn note_failure(lanes: &Lanes, trouble: Trouble, failed: u32) -> Duration {
    lanes.forget_closed();
    let is_passing = trouble.is_of_one_connection() && lanes.is_replacing();
    let is_passing = is_passing || lanes.settings.may_be_elsewhere(failed);
    if is_passing && lanes.open.borrow().is_empty() {
        // Requests wait rather than fail because a lane is old, or a replica has just died.
        Backoff::MOST
    } else if lanes.open.borrow().is_empty() {
        lanes.lost.set(true);
        lanes.reach.lost(trouble);
        lanes.wake_all();
        Backoff::MOST
    } else {
        lanes.short.update(|attempts| attempts.saturating_add(1));
        lanes.reach.short(trouble);
        // Where work is held, the lanes that are left may all be stuck.
        if lanes.held.works().is_none() { Backoff::MOST_FOR_ANOTHER } else { Backoff::MOST }
    }
}

/// Opens a lane; where it does not come about, gives the reason, or none where work came to be held meanwhile.
pub(super) async fn lease(lanes: &Lanes) -> Result<Lane, Option<Trouble>> {
    let object = lanes.pool.get().await.map_err(|error| Some(pool::trouble(&error)))?;
    let Some(line) = lanes.newest.take() else {
        drop(deadpool_postgres::Object::take(object));
        return Err(Some(Trouble::away("the pool gave a connection that it had not just opened")));
    };
    let prepare = async {
        // What is held cannot be prepared either: a trial will.
        let held = if lanes.unprepared.get() { Works::all() } else { lanes.held.works() };
        // Nothing is written where reads go.
        let held = if lanes.settings.reads.is_some() { held.with(Work::Write) } else { held };
        Ok(match lanes.settings.driver {
            Driver::Direct => {
                Statements::Direct(Direct::prepare(&object, line.pipeline.clone(), held).await?)
            }
            Driver::TokioPostgres => {
                Statements::prepare(&object, lanes.settings.statements, line.is_pooled, held).await?
            }
        })
    };
    let prepared = tokio::select! {
        prepared = prepare => prepared.map_err(|error: Error| {
            Some(error.trouble().unwrap_or_else(|| Trouble::away(error.to_string())))
        }),
        () = lanes.held.begun.notified() => Err(None),
        () = tokio::time::sleep(lanes.settings.wait) => {
            lanes.unprepared.set(true);
            Err(Some(Trouble::away("preparing its statements took too long")))
        }
    };
    match prepared {
        Ok(statements) => {
            let expiry = lanes.settings.expiry();
            Ok(Lane::new(object, statements, line, expiry, Arc::clone(&lanes.counters)))
        }
        Err(why) => {
            // Its state is unknown: it does not go back to the pool, and PostgreSQL need not go on with it.
            line.end(object.cancel_token());
            drop(deadpool_postgres::Object::take(object));
            Err(why)
        }
    }
}
