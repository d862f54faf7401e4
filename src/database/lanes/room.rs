//! How much each lane may carry while requests queue: as much as it answers within half of their patience.
//!
//! Past it a request is refused at once, for it would only be waited for in vain, and take its lane with it at its deadline.
//! docs/decisions/0016 has what else was tried.
//!
//! **Invariant:** looked at by the watch alone, so that a request meets a number and nothing else; without a queue that stands there is
//! no bound but [`MOST_IN_FLIGHT`](super::choose::MOST_IN_FLIGHT).

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use super::Lanes;
use super::lane::Lane;
use crate::tuning::backlog::{self, Backlog};

/// How long no queue may stand before what was learnt is forgotten: longer than a lane takes to be replaced.
const CALM: Duration = Duration::from_millis(500);

/// What is known of a worker's queue.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// The mean pace of the lanes before which a queue stands or stood, in queries a second: what a lane begins with.
    pace: Cell<Option<f64>>,
    /// When one stood last.
    stood: Cell<Option<Instant>>,
}

impl Lanes {
    /// Learns from what each lane has answered since the last look, which was `within` ago.
    pub(super) fn learn(&self, now: Instant, within: Duration) {
        let (open, patience) = (self.open.borrow(), self.settings.wait);
        let mut stands = false;
        for lane in open.iter() {
            if waits(lane, now, patience) {
                stands = true;
                let mut backlog = lane.backlog().get();
                backlog.note(lane.noted(), within);
                lane.backlog().set(backlog);
            }
        }
        if stands {
            self.standing.stood.set(Some(now));
        } else if self.forget_standing(now) {
            return;
        }
        // What is on trial, or ends, says nothing of the others.
        let known = open.iter().filter(|lane| !lane.is_trial() && !lane.is_surplus());
        let known: Vec<f64> = known.filter_map(|lane| lane.backlog().get().pace()).collect();
        if let Ok(count @ 1..) = u32::try_from(known.len()) {
            self.standing.pace.set(Some(known.iter().sum::<f64>() / f64::from(count)));
        }
        for lane in open.iter() {
            let own = lane.backlog().get().pace();
            // Of a lane that is not at its limit the pace says what it was asked, and not what it can do: no less than what it did, than it
            // ever did, and than the others do.
            let pace = if waits(lane, now, patience) { own } else { None };
            let seen = f64::from(lane.noted()) / within.as_secs_f64().max(f64::MIN_POSITIVE);
            let pace =
                pace.or_else(|| Some(own.unwrap_or_default().max(seen).max(self.standing.pace.get()?)));
            lane.set_worth(pace.map(|pace| backlog::most(pace, patience)));
        }
    }

    /// Forgets what was learnt, if no queue has stood for some time; says whether nothing is known.
    pub(super) fn forget_standing(&self, now: Instant) -> bool {
        let stood = self.standing.stood.get();
        if stood.is_some_and(|stood| now.duration_since(stood) < CALM) {
            return false;
        }
        if stood.is_some() {
            self.standing.stood.set(None);
            self.standing.pace.set(None);
            for lane in self.open.borrow().iter() {
                lane.backlog().set(Backlog::default());
                lane.set_worth(None);
            }
        }
        true
    }

    /// Gives a lane that was opened just now what is known of the others.
    pub(super) fn tell_standing(&self, lane: &Lane) {
        lane.set_worth(self.standing.pace.get().map(|pace| backlog::most(pace, self.settings.wait)));
    }

    /// Whether what stands before a new request would keep it waiting for too long. While it is not known of some lane, it is not.
    pub(super) fn is_overloaded(&self) -> bool {
        let open = self.open.borrow();
        let mut lanes = open.iter().filter(|lane| lane.load().is_some()).peekable();
        if lanes.peek().is_none() {
            return false;
        }
        let before = (u64::from(self.in_line.get()), Some(0_u64));
        let (stands, worth) = lanes.fold(before, |(stands, worth), lane| {
            let worth = worth.zip(lane.worth()).map(|(sum, worth)| sum + u64::from(worth));
            (stands + u64::from(lane.in_flight()), worth)
        });
        worth.is_some_and(|worth| stands >= worth)
    }
}

/// Whether a queue stands before a lane. What stands before one that is stuck says nothing of its pace.
fn waits(lane: &Lane, now: Instant, patience: Duration) -> bool {
    if lane.is_stuck() {
        return false;
    }
    let left = lane.first_deadline().map(|deadline| deadline.saturating_duration_since(now));
    left.is_some_and(|left| backlog::stands(patience.saturating_sub(left), patience))
}
