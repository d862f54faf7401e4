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

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use super::super::super::PoolSettings;
    use super::super::super::stand_in::{self, StandIn};
    use super::super::{Work, open};
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Runs a test with lanes at one replica.
    fn with_lanes(test: impl AsyncFnOnce(&Rc<Lanes>, &Fleet)) {
        stand_in::run(async {
            let replica = StandIn::start(8, true).await;
            let fleet = Fleet::unwatched(&[replica.port]);
            let settings = PoolSettings {
                config: fleet.config().clone(),
                reads: Some(Arc::clone(&fleet)),
                ..replica.pool(2, PATIENCE)
            };
            let lanes = Lanes::start(settings, &Arc::default(), rand::make_rng(), Arc::default()).unwrap();
            test(&lanes, &fleet).await;
            lanes.close();
        });
    }

    async fn open_one(lanes: &Rc<Lanes>) -> Lane {
        open::lease(lanes).await.unwrap_or_else(|why| panic!("no lane: {why:?}"))
    }

    #[test]
    fn a_lane_that_was_being_opened_while_its_replica_was_left_out_serves_nothing() {
        for is_gone in [false, true] {
            with_lanes(async |lanes, fleet| {
                let lane = open_one(lanes).await;
                fleet.leave_out(0, is_gone);
                lanes.keep_to(fleet);
                lanes.take_in(lane);
                assert_eq!(lanes.open.borrow().len(), 0);
            });
        }
    }

    #[test]
    fn a_lane_that_is_left_on_purpose_is_replaced_and_no_reconnect() {
        with_lanes(async |lanes, fleet| {
            lanes.take_in(open_one(lanes).await);
            let lane = open_one(lanes).await;
            fleet.leave_out(0, false);
            lanes.keep_to(fleet);
            lanes.take_in(lane);
            assert_eq!(lanes.counters.reconnects.read(), 0);
        });
    }

    #[test]
    fn of_the_requests_on_a_replica_s_lane_only_the_overdue_one_is_late_and_the_others_are_lost() {
        with_lanes(async |lanes, _| {
            lanes.take_in(open_one(lanes).await);
            let now = Instant::now();
            let [soon, far] = [now + Duration::from_millis(20), now + PATIENCE];
            let first = lanes.enter(Work::Read, 1, soon).await.unwrap();
            let second = lanes.enter(Work::Read, 1, far).await.unwrap();
            let lane = Rc::clone(&first.lane);
            assert!(Rc::ptr_eq(&lane, &second.lane), "there is one");
            let ended = async {
                while !lane.is_closed() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, ended).await.unwrap();
            assert!(first.was_ended(soon) && !second.was_ended(far));
        });
    }

    #[test]
    fn a_lane_is_stuck_by_its_work_where_its_replica_answers_on_another() {
        with_lanes(async |lanes, _| {
            for _ in 0..2 {
                lanes.take_in(open_one(lanes).await);
            }
            let [stuck, other] = [0, 1].map(|place: usize| Rc::clone(&lanes.open.borrow()[place]));
            assert!(!lanes.is_stuck_by_its_work(&stuck), "it may be silent");
            let ticket =
                Ticket::new(Rc::clone(lanes), Rc::clone(&other), Work::Read, 1, Instant::now() + PATIENCE);
            ticket.finish();
            other.note_pace(Duration::from_millis(50), PATIENCE);
            assert!(lanes.is_stuck_by_its_work(&stuck));
        });
    }
}
