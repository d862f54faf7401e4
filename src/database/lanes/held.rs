//! Which work PostgreSQL holds up, so that the rest is served beside it.
//!
//! Answers on a lane come in order: behind a query that waits for a lock everything waits, whatever it asks for. So a lane that is
//! stuck takes nothing more, and the kind of work that it is stuck with is *held*: it gets one lane of its own at a time, for a few
//! requests as a trial, and never the last one; the rest of it waits in the queue. All other work has the lanes that are left. An
//! answer on a lane that was stuck ends it. docs/decisions/0002 says why, and what else was thought of.
//!
//! **Invariant:** while nothing is held it costs a request one look at a byte, and while something is, it leaves other work a lane
//! wherever there may be two.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::choose::{Choice, LEAST_DEEP, Load};
use super::watch::TICK;

/// Where queries are slow work may come and go from being held; it is said once in so long.
const BETWEEN_WORDS: Duration = Duration::from_secs(10);

/// So many attempts to open a lane fail one after the other where there can be no other.
pub(super) const SHORT_FOR_GOOD: u32 = 3;

/// What a request does, as far as one lock may hold it up and leave the rest alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::database) enum Work {
    /// Reads `world`.
    Read = 1,
    /// Reads and writes `world`.
    Write = 2,
    /// Reads `fortune`.
    Fortunes = 4,
}

/// Kinds of work, as bits.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) struct Works(u8);

impl Works {
    /// All there is.
    pub(super) fn all() -> Self {
        Self::default().with(Work::Read).with(Work::Write).with(Work::Fortunes)
    }

    pub(in crate::database) fn has(self, work: Work) -> bool {
        self.0 & work as u8 != 0
    }

    pub(super) fn with(self, work: Work) -> Self {
        Self(self.0 | work as u8)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whoever is stuck at `world` may be so in reading or in writing, which a lock on a row does not tell from one on the table;
    /// where one of them goes on, its answers say so.
    fn as_one_table(self) -> Self {
        if self.has(Work::Read) || self.has(Work::Write) {
            self.with(Work::Read).with(Work::Write)
        } else {
            self
        }
    }

    /// An update reads its rows first.
    fn with_its_reads(self) -> Self {
        if self.has(Work::Write) { self.with(Work::Read) } else { self }
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl std::fmt::Display for Works {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [
            (Work::Read, "reads of world"),
            (Work::Write, "updates of world"),
            (Work::Fortunes, "reads of fortune"),
        ];
        let held: Vec<&str> =
            names.iter().filter(|(work, _)| self.has(*work)).map(|(_, name)| *name).collect();
        formatter.write_str(&held.join(" and "))
    }
}

/// What one look over the lanes has shown.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    /// What lanes are stuck with.
    pub(super) stuck: Works,
    /// What was answered since the last look.
    pub(super) answered: Works,
    /// What of that was answered on lanes that were stuck.
    pub(super) freed: Works,
}

/// What a worker knows of it.
#[derive(Default)]
pub(super) struct Held {
    works: Cell<Works>,
    /// What lanes were stuck with lately, and when one last was.
    stuck_lately: Cell<Works>,
    stuck_at: Cell<Option<Instant>>,
    /// When it was last said that work is held, and whether it was not said since that it no longer is.
    told_at: Cell<Option<Instant>>,
    is_told: Cell<bool>,
    /// Wakes requests of held work when one of them may go.
    pub(super) news: Notify,
    /// Wakes whoever prepares statements on tables that nobody gets at now.
    pub(super) begun: Notify,
}

impl Held {
    /// Which work is held.
    pub(super) fn works(&self) -> Works {
        self.works.get()
    }

    /// Takes note of a look over the lanes. An answer on a lane that was stuck lifts the hold. One on another lane does not, for as long as
    /// a request may wait: of two updates the next may meet the row that is locked.
    pub(super) fn note(&self, seen: Seen, now: Instant, request_deadline: Duration) {
        let (before, stuck) = (self.works.get(), seen.stuck);
        if before.is_none() && stuck.is_none() {
            return;
        }
        if !stuck.is_none() {
            self.stuck_at.set(Some(now));
        } else if self.stuck_at.get().is_none_or(|at| now.duration_since(at) >= request_deadline) {
            self.stuck_lately.set(Works::default());
        }
        self.stuck_lately.set(self.stuck_lately.get().and(stuck));
        let lifted = seen.answered.with_its_reads().without(self.stuck_lately.get());
        let lifted = lifted.and(seen.freed.with_its_reads());
        let after = before.and(stuck.as_one_table()).without(lifted).and(stuck);
        if after == before {
            return;
        }
        self.works.set(after);
        let (begun, ended) = (after.without(before), before.without(after));
        if !begun.is_none() {
            self.tell(begun);
            self.begun.notify_waiters();
        }
        if !ended.is_none() {
            tracing::debug!("PostgreSQL answers {ended} again");
            self.news.notify_waiters();
        }
        if after.is_none() && self.is_told.take() {
            tracing::info!("PostgreSQL holds nothing up any more");
        }
    }

    /// Says aloud what is held, unless that was said a short while ago.
    fn tell(&self, begun: Works) {
        let now = Instant::now();
        if self.told_at.get().is_some_and(|at| now.duration_since(at) < BETWEEN_WORDS) {
            return;
        }
        self.told_at.set(Some(now));
        self.is_told.set(true);
        tracing::warn!(
            "PostgreSQL holds {begun} up, perhaps by a lock: they wait apart, the rest is served; \
             pg_blocking_pids(pid) says for the sessions of pg_stat_activity who holds them up"
        );
    }
}

/// For how long a lane answers nothing when it counts as stuck: a quarter of what a request may wait, but not so little that a slow
/// way to PostgreSQL looks the same.
pub(super) fn stuck_after(request_deadline: Duration) -> Duration {
    (request_deadline / 4).max(TICK * 4)
}

/// A lane, as a request of held work sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// How much it carries, if it takes requests.
    pub(super) load: Option<Load>,
    /// Whether it is for held work alone.
    pub(super) is_trial: bool,
    /// Whether nothing is answered on it.
    pub(super) is_stuck: bool,
}

/// Chooses for a request of held work among these lanes; `may_be_two` says whether there can be more than one.
pub(super) fn choose_trial(may_be_two: bool, lanes: impl Iterator<Item = Candidate>) -> Choice {
    let (mut others, mut last, mut trial, mut any_stuck) = (0, None, None, false);
    for (index, lane) in lanes.enumerate() {
        any_stuck |= lane.is_stuck;
        let Some(load) = lane.load else { continue };
        if lane.is_trial {
            trial = Some((index, load.in_flight));
        } else {
            others += 1;
            last = Some((index, load.in_flight));
        }
    }
    let new = last.filter(|_| others > 1 || !(may_be_two || any_stuck));
    let lane = trial.or(new).filter(|(_, in_flight)| *in_flight < LEAST_DEEP).map(|(index, _)| index);
    Choice { lane, wants_another: others < 2 && trial.is_none() }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;

    use super::super::super::stand_in::{self, StandIn};
    use super::super::Lanes;
    use super::*;

    fn carrying(in_flight: u32, is_trial: bool) -> Candidate {
        Candidate { load: Some(Load { in_flight, deep_from: 100, room: 8_192 }), is_trial, is_stuck: false }
    }

    #[test]
    fn held_work_gets_a_lane_of_its_own_and_never_the_only_one() {
        let trial = |may_be_two, lanes: &[Candidate]| {
            let choice = choose_trial(may_be_two, lanes.iter().copied());
            (choice.lane, choice.wants_another)
        };
        let (free, own, busy) = (carrying(0, false), carrying(3, true), carrying(16, true));
        let stuck = Candidate { load: None, is_trial: false, is_stuck: true };
        assert_eq!(trial(true, &[free, free]), (Some(1), false));
        assert_eq!(trial(true, &[own, free]), (Some(0), false));
        assert_eq!(trial(true, &[busy, free, free]), (None, false), "a trial is a little work");
        assert_eq!(trial(true, &[free]), (None, true));
        assert_eq!(trial(false, &[free]), (Some(0), true), "there can be no other");
        assert_eq!(trial(false, &[stuck, free]), (None, true), "there will be");
        assert_eq!(trial(true, &[stuck, free, free]), (Some(2), false));
        assert_eq!(trial(false, &[]), (None, true));
    }

    const DEADLINE: Duration = Duration::from_secs(3);
    const NONE: Works = Works(0);
    const READ: Works = Works(Work::Read as u8);
    const WRITE: Works = Works(Work::Write as u8);

    fn seen(stuck: Works, answered: Works) -> Seen {
        Seen { stuck, answered, freed: NONE }
    }

    #[test]
    fn work_is_held_from_a_stuck_lane_to_its_answer() {
        let (held, now) = (Held::default(), Instant::now());
        held.note(seen(READ, NONE), now, DEADLINE);
        held.note(seen(NONE, NONE), now, DEADLINE);
        assert_eq!(held.works(), READ.and(WRITE), "updates read too");
        held.note(Seen { freed: READ, ..seen(NONE, READ) }, now, DEADLINE);
        assert_eq!(held.works(), WRITE);
        held.note(seen(NONE, WRITE), now, DEADLINE);
        assert!(held.works().is_none(), "no lane was stuck with an update");
    }

    #[test]
    fn work_that_is_answered_beside_a_stuck_lane_is_held_for_a_deadline_more() {
        let (held, now) = (Held::default(), Instant::now());
        held.note(seen(WRITE, READ.and(WRITE)), now, DEADLINE);
        assert_eq!(held.works(), WRITE, "a row is locked: other updates are answered, and all reads");
        held.note(seen(NONE, WRITE), now + DEADLINE - TICK, DEADLINE);
        assert_eq!(held.works(), WRITE);
        held.note(seen(NONE, WRITE), now + DEADLINE, DEADLINE);
        assert!(held.works().is_none());
    }

    /// What becomes of a request.
    #[derive(PartialEq)]
    enum End {
        Fails,
        Leaves,
        /// After its lane has answered nothing for too long.
        LeavesAStuckLane,
    }

    /// Whether a request's work counts as answered when its lane has no more to answer.
    async fn is_finished(lanes: &Rc<Lanes>, end: End) -> bool {
        let ticket = lanes.enter(Work::Write, 1, Instant::now() + DEADLINE).await.unwrap();
        let lane = Rc::clone(&lanes.open.borrow()[0]);
        if end == End::LeavesAStuckLane {
            lane.note_pace(TICK, DEADLINE);
            lane.note_pace(DEADLINE * 2, DEADLINE);
            assert!(lane.is_stuck());
        }
        if end == End::Fails {
            ticket.fail();
        } else {
            drop(ticket);
        }
        let answered = async {
            while lane.in_flight() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, answered).await.unwrap();
        lane.note_pace(TICK, DEADLINE).0.has(Work::Write)
    }

    #[test]
    fn work_whose_client_left_counts_as_answered_once_it_is_but_not_where_it_failed_or_its_lane_was_stuck() {
        stand_in::run(async {
            let settings = StandIn::start(1, true).await.pool(1, DEADLINE);
            let lanes = Lanes::start(settings, &Arc::default(), rand::make_rng(), Arc::default()).unwrap();
            assert!(!is_finished(&lanes, End::Fails).await);
            // The watch takes note of it too, and may come first.
            let mut left = false;
            for _ in 0..10 {
                left |= is_finished(&lanes, End::Leaves).await;
            }
            assert!(left);
            for _ in 0..10 {
                assert!(!is_finished(&lanes, End::LeavesAStuckLane).await);
            }
            lanes.close();
        });
    }

    #[test]
    fn a_lane_is_not_stuck_before_a_few_looks() {
        assert_eq!(stuck_after(Duration::from_secs(3)), Duration::from_millis(750));
        assert_eq!(stuck_after(Duration::from_millis(10)), Duration::from_millis(200));
    }
}
