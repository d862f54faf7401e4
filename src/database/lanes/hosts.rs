//! Which replicas a worker's lanes are at, where they are at replicas.
//!
//! **Invariant:** a lane at a replica that is left out takes no further request. What runs there is finished where it answers, and lost
//! at once where it does not.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::replicas::{Fleet, ReadHost};
use super::{Lane, Lanes, Ticket};

impl Lanes {
    /// Leaves replicas that are not in use any more.
    pub(in crate::database) fn keep_to(&self, fleet: &Fleet) {
        for lane in self.open.borrow().iter() {
            self.leave_where_left_out(lane);
        }
        // With none in use nobody waits for a lane: whoever would is served elsewhere, or by nobody.
        self.lost.set(!fleet.is_in_use());
        self.forget_closed();
        self.end_surplus();
        self.wake_all();
    }

    /// Gives this lane up where its replica is left out: one that was being opened meanwhile as well.
    pub(super) fn leave_where_left_out(&self, lane: &Lane) {
        let Some(host) = lane.host().filter(|host| !host.is_in_use()) else { return };
        if host.is_gone() {
            lane.retire();
            lane.forsake();
        } else {
            self.give_up(lane);
        }
    }

    /// Has it take no further request, on purpose: what is opened in its place stands for none that was lost.
    fn give_up(&self, lane: &Lane) {
        if !lane.is_retired() && !lane.is_closed() {
            self.replaced.given_up();
        }
        lane.retire();
    }

    /// Whether the server that a lane is stuck at answers on another one, so that it is the work that is held up. A replica that answers on
    /// none may be silent, and says nothing of what the others hold up.
    pub(super) fn is_stuck_by_its_work(&self, lane: &Lane) -> bool {
        let Some(host) = lane.host() else { return true };
        let open = self.open.borrow();
        open.iter().any(|other| other.noted() > 0 && other.is_at(host) && !other.is_closed())
    }

    /// Gives up all lanes at a replica, for one was lost there; whether it is still in use is not this worker's to say.
    pub(super) fn leave(&self, host: &Arc<ReadHost>) {
        for lane in self.open.borrow().iter() {
            if lane.is_at(host) {
                self.give_up(lane);
            }
        }
        self.forget_closed();
        self.end_surplus();
    }
}

impl Lane {
    fn is_at(&self, host: &Arc<ReadHost>) -> bool {
        self.host().is_some_and(|own| Arc::ptr_eq(own, host))
    }
}

impl Ticket {
    /// Whether the lane was ended because a request on it was overdue. On a replica's lane that is this request, whose deadline is given: the
    /// others may be asked elsewhere, for its server may be silent.
    pub(in crate::database) fn was_ended(&self, deadline: Instant) -> bool {
        self.lane.was_ended() && (self.lane.host().is_none() || deadline <= Instant::now())
    }

    /// Its connection was lost: where that was to a replica, no request takes another to the same one. Where the lane was ended for another's
    /// deadline, its server may well answer, and nothing is known.
    pub(in crate::database) fn leave_its_host(&self) {
        if let Some(host) = self.lane.host().filter(|_| !self.lane.was_ended()) {
            self.lanes.leave(host);
        }
    }
}
