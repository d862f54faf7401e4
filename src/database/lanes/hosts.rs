//! Which replicas a worker's lanes are at, where they are at replicas.
//!
//! **Invariant:** a lane at a replica that is left out takes no further request. What runs there is finished where it answers, and lost
//! at once where it does not.

use std::sync::Arc;

use super::super::replicas::{Fleet, ReadHost};
use super::Lanes;

impl Lanes {
    /// Leaves replicas that are not in use any more.
    pub(in crate::database) fn keep_to(&self, fleet: &Fleet) {
        for lane in self.open.borrow().iter() {
            let Some(host) = lane.host().filter(|host| !host.is_in_use()) else { continue };
            if host.is_gone() {
                lane.forsake();
            } else {
                lane.retire();
            }
        }
        // With none in use nobody waits for a lane: whoever would is served elsewhere, or by nobody.
        self.lost.set(!fleet.is_in_use());
        self.forget_closed();
        self.end_surplus();
        self.wake_all();
    }

    /// Gives up all lanes at a replica, for one was lost there; whether it is still in use is not this worker's to say.
    pub(super) fn leave(&self, host: &Arc<ReadHost>) {
        for lane in self.open.borrow().iter() {
            if lane.host().is_some_and(|other| Arc::ptr_eq(other, host)) {
                lane.retire();
            }
        }
        self.forget_closed();
        self.end_surplus();
    }
}
