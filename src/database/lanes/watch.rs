//! Watches over the deadlines of all requests on a worker's lanes, and has the lanes' pace noted.
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

use super::held::{Seen, stuck_after};
use super::{Lane, Lanes};

/// How often the lanes are looked over while requests are in flight.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// Missed deadlines are said once in so long: a database that hangs takes every lane with it, and then every new one.
const BETWEEN_WORDS: Duration = Duration::from_secs(1);

/// Lanes that were ended at a deadline, as they are said.
#[derive(Debug, Default)]
struct Overdue {
    unsaid: u32,
    said_at: Option<Instant>,
}

impl Overdue {
    /// Counts some more in; gives how many to speak of now.
    fn note(&mut self, ended: u32, now: Instant) -> Option<u32> {
        self.unsaid += ended;
        let is_quiet = self.said_at.is_none_or(|at| now.duration_since(at) >= BETWEEN_WORDS);
        if self.unsaid == 0 || !is_quiet {
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }

    fn tell(&mut self, ended: u32, now: Instant) {
        let Some(count) = self.note(ended, now) else { return };
        if count == 1 {
            tracing::warn!("a query outlived the request deadline; its database connection is replaced");
        } else {
            tracing::warn!(
                "queries outlived the request deadline on {count} database connections, which are replaced"
            );
        }
    }
}

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

impl Lanes {
    /// Notes the pace of all lanes since the last look, which was so long ago, and with what work they are stuck.
    fn note_pace(&self, within: Duration) {
        let stuck_after = stuck_after(self.settings.wait);
        let mut seen = Seen::default();
        let (mut goes_on, mut stuck) = (false, Vec::new());
        for lane in self.open.borrow().iter().filter(|lane| !lane.is_closed()) {
            let was_stuck = lane.is_stuck();
            let (finished, stuck_with) = lane.note_pace(within, stuck_after);
            seen.answered = seen.answered.and(finished);
            if let Some(work) = stuck_with {
                stuck.push((Rc::clone(lane), work));
            }
            if was_stuck && !lane.is_stuck() {
                seen.freed = seen.freed.and(finished);
                goes_on = true;
            }
        }
        for (_, work) in stuck.iter().filter(|(lane, _)| self.is_stuck_by_its_work(lane)) {
            seen.stuck = seen.stuck.with(*work);
        }
        self.held.note(seen, Instant::now(), self.settings.wait);
        // One that carries nothing is marked again by the next held request that takes it.
        let is_over = self.held.works().is_none();
        let open = self.open.borrow();
        for lane in open.iter().filter(|lane| lane.is_trial() && (is_over || lane.in_flight() == 0)) {
            lane.set_trial(false);
            goes_on = true;
        }
        drop(open);
        if goes_on {
            self.wake_all();
        }
    }
}

/// Ends lanes with overdue requests, until the worker's runtime ends.
pub(super) async fn watch(lanes: Rc<Lanes>) {
    let mut overdue = Overdue::default();
    loop {
        lanes.watch.wake.notified().await;
        let mut looked = Instant::now();
        lanes.forget_standing(looked);
        // What is left to say is said, though nothing be in flight by then.
        while lanes.watch.armed.get() || overdue.unsaid > 0 {
            tokio::time::sleep(TICK).await;
            let now = Instant::now();
            let within = now.duration_since(std::mem::replace(&mut looked, now));
            lanes.note_pace(within);
            lanes.learn(now, within);
            let open = lanes.open.borrow();
            let mut ended = 0;
            let is_overdue = |lane: &Lane| lane.first_deadline().is_some_and(|deadline| deadline <= now);
            for lane in open.iter().filter(|lane| is_overdue(lane)) {
                lane.end();
                ended += 1;
            }
            drop(open);
            overdue.tell(ended, now);
            if ended > 0 {
                lanes.forget_closed();
            }
            lanes.end_surplus();
            // There may be more room than there was.
            lanes.left();
            let open = lanes.open.borrow();
            lanes.watch.armed.set(open.iter().any(|lane| lane.in_flight() > 0 && !lane.is_closed()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_that_miss_their_deadlines_one_after_the_other_are_one_line_a_second_and_none_is_left_out() {
        let (mut overdue, start) = (Overdue::default(), Instant::now());
        let lines: Vec<u32> =
            (0..=40).filter_map(|tick| overdue.note(u32::from(tick < 25) * 2, start + TICK * tick)).collect();
        assert_eq!(lines, [2, 40, 8], "50 in 1.25 s");
        assert_eq!(overdue.note(0, start + 10 * BETWEEN_WORDS), None);
        assert_eq!(overdue.note(1, start + 10 * BETWEEN_WORDS), Some(1));
    }
}
