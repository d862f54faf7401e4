//! How far a replica is behind, told from the log positions of both sides and from our own clock.
//!
//! What the primary has written is noted whenever it is asked. A replica that has replayed up to a position is as far behind as it is
//! since the primary had written no more than that. No clock of a server takes part in it, an idle primary makes no lag, and a replica
//! that receives nothing falls behind as soon as there is something to receive. docs/decisions/0019 has what else was thought of.
//!
//! Another primary, or one that was away for long, begins a new history: what it writes while nobody could follow is no lag of a replica's.
//!
//! **Invariant:** pure, and bounded: the history holds [`MOST_SAMPLES`] at the most, however long it goes on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Samples that are kept.
const MOST_SAMPLES: usize = 256;
/// A sample is this part of the longest lag that matters apart from the one before it, so that all of them span more than that lag.
const PARTS: u32 = 100;

/// A position in the log, in bytes from its beginning (`pg_lsn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(pub(super) u64);

impl Position {
    /// Reads PostgreSQL's own form: two hexadecimal numbers, as in `16/B374D848`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let half = |digits| u32::from_str_radix(digits, 16).ok();
        Some(Self(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }
}

/// How far behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lag {
    /// Nobody knows what the primary has written.
    Unknown,
    /// So much, as of when the primary last answered.
    Known(Duration),
    /// More than is remembered: at least so much.
    AtLeast(Duration),
    /// It holds what the primary has never written: it follows another primary, or another history of this one.
    Diverged,
}

/// When a replica said where it is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// When its answer had come.
    at: Instant,
    /// Up to where it had replayed.
    replayed: Position,
}

/// What the primary had written, and when it was asked.
#[derive(Debug)]
pub(super) struct History {
    /// In the order of both.
    samples: VecDeque<(Instant, Position)>,
    apart: Duration,
    /// Whoever was away for longer begins a new one.
    longest_away: Duration,
    /// Whether the primary was away since the newest sample.
    is_interrupted: bool,
    /// How many there were before this one.
    number: u64,
}

/// What is kept of one replica from one answer to the next, for as long as its session lasts.
#[derive(Debug, Default)]
pub(super) struct Trail {
    before: Option<Place>,
    /// The history that it holds more than.
    diverged_from: Option<u64>,
}

impl Trail {
    /// How far behind it is that is at this place now, if it said so.
    ///
    /// One that has diverged gets past the fork by a restart only, which ends its session; that the primary has written past it meanwhile
    /// makes it no better. A new history judges it anew, from the first question on that came after its own answer.
    pub(super) fn follow(&mut self, history: &History, at: Instant, replayed: Option<Position>) -> Lag {
        let before = std::mem::replace(&mut self.before, replayed.map(|replayed| Place { at, replayed }));
        let is_compared =
            before.is_some_and(|before| history.newest().is_some_and(|(asked, _)| before.at < asked));
        if self.diverged_from.is_some_and(|number| number == history.number || !is_compared) {
            return Lag::Diverged;
        }
        let lag = match replayed {
            Some(replayed) => history.lag(replayed, before),
            None => history.lag_of_the_silent(),
        };
        self.diverged_from = (lag == Lag::Diverged).then_some(history.number);
        lag
    }
}

impl History {
    /// An empty one, for lags up to this.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            samples: VecDeque::new(),
            apart: longest / PARTS,
            // As much again is left to a replica for finding the primary where it is now.
            longest_away: longest / 2,
            is_interrupted: false,
            number: 0,
        }
    }

    /// The primary does not answer.
    pub(super) fn interrupt(&mut self) {
        self.is_interrupted = true;
    }

    /// What follows is of another primary.
    pub(super) fn begin_anew(&mut self) {
        self.samples.clear();
        self.number += 1;
    }

    /// The primary was asked at this moment, and has written so much.
    pub(super) fn note(&mut self, asked: Instant, written: Position) {
        let was_interrupted = std::mem::take(&mut self.is_interrupted);
        if self.newest().is_some_and(|(at, newest)| {
            let was_away = was_interrupted && asked.duration_since(at) > self.longest_away;
            // Another primary, which had not got all of what the one before it had written; or one that was promoted or restarted, and
            // begins with records of its own: all of its replicas would be as far behind as it was away.
            written < newest || (was_away && written > newest)
        }) {
            self.begin_anew();
        }
        let count = self.samples.len();
        let is_close = |samples: &VecDeque<(Instant, Position)>| {
            count > 1 && samples[count - 1].0.duration_since(samples[count - 2].0) < self.apart
        };
        match self.samples.back().map(|(_, newest)| *newest) {
            Some(newest) if newest == written || is_close(&self.samples) => {
                self.samples[count - 1] = (asked, written);
            }
            _ => self.samples.push_back((asked, written)),
        }
        if self.samples.len() > MOST_SAMPLES {
            self.samples.pop_front();
        }
    }

    fn newest(&self) -> Option<(Instant, Position)> {
        self.samples.back().copied()
    }

    /// How far behind a replica is that does not say where it is, as one that has replayed nothing yet.
    fn lag_of_the_silent(&self) -> Lag {
        if self.samples.is_empty() { Lag::Unknown } else { Lag::AtLeast(Duration::ZERO) }
    }

    /// How far behind a replica is that is at this place; `before` is where it was when it was asked the time before.
    fn lag(&self, replayed: Position, before: Option<Place>) -> Lag {
        let (Some((now, newest)), Some((first, _))) = (self.newest(), self.samples.front()) else {
            return Lag::Unknown;
        };
        // What the primary is asked for later than a replica holds more than the replica, or as much.
        if before.is_some_and(|before| before.at < now && before.replayed > newest) {
            return Lag::Diverged;
        }
        if replayed >= newest {
            return Lag::Known(Duration::ZERO);
        }
        let reached = self.samples.iter().rev().find(|(_, written)| *written <= replayed);
        match reached {
            Some((at, _)) => Lag::Known(now.duration_since(*at)),
            None => Lag::AtLeast(now.duration_since(*first)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A history of samples 250 ms apart.
    fn history(longest: Duration, written: &[u64]) -> (History, Instant) {
        let (mut history, mut now) = (History::new(longest), Instant::now());
        for written in written {
            now += 250 * MS;
            history.note(now, Position(*written));
        }
        (history, now)
    }

    fn lag(history: &History, replayed: u64) -> Lag {
        history.lag(Position(replayed), None)
    }

    #[test]
    fn positions_are_read_as_postgresql_writes_them() {
        assert_eq!(Position::read("16/B374D848"), Some(Position(0x16_B374_D848)));
        assert_eq!(Position::read("0/0"), Some(Position(0)));
        for text in ["", "16", "16/", "g/0", "1/B374D8480"] {
            assert_eq!(Position::read(text), None, "{text}");
        }
    }

    #[test]
    fn lag_is_the_time_since_the_primary_had_written_no_more() {
        let (history, _) = history(10_000 * MS, &[100, 200, 300, 400]);
        assert_eq!(lag(&history, 400), Lag::Known(Duration::ZERO));
        assert_eq!(lag(&history, 401), Lag::Known(Duration::ZERO), "it may be asked later than the primary");
        assert_eq!(lag(&history, 399), Lag::Known(250 * MS));
        assert_eq!(lag(&history, 100), Lag::Known(750 * MS));
        assert_eq!(lag(&history, 99), Lag::AtLeast(750 * MS));
        assert_eq!(lag(&History::new(MS), 1), Lag::Unknown);
    }

    #[test]
    fn an_idle_primary_makes_no_lag_and_then_one_write_makes_little() {
        let (mut history, now) = history(10_000 * MS, &[100; 400]);
        assert_eq!(lag(&history, 100), Lag::Known(Duration::ZERO));
        history.note(now + 250 * MS, Position(200));
        assert_eq!(lag(&history, 100), Lag::Known(250 * MS), "not the minutes in which nothing was written");
    }

    #[test]
    fn a_replica_that_stands_still_falls_behind_while_the_primary_writes() {
        let written: Vec<u64> = (1..=41).collect();
        let (mut history, now) = history(10_000 * MS, &written);
        assert_eq!(lag(&history, 1), Lag::Known(10_000 * MS));
        // A primary that does not answer makes no lag more: what is known stays.
        assert_eq!(lag(&history, 1), Lag::Known(10_000 * MS));
        history.note(now + 60_000 * MS, Position(41));
        assert_eq!(lag(&history, 1), Lag::Known(70_000 * MS));
    }

    #[test]
    fn a_history_of_a_day_is_no_longer_than_it_may_be_and_spans_the_longest_lag() {
        let longest = Duration::from_hours(24);
        let (mut history, mut now) = (History::new(longest), Instant::now());
        let begin = now;
        for written in 0..700_000 {
            now += 250 * MS;
            history.note(now, Position(written));
        }
        assert!(history.samples.len() <= MOST_SAMPLES);
        let Some((first, _)) = history.samples.front() else { panic!("nothing is kept") };
        assert!(now.duration_since(*first) > longest, "{:?}", now.duration_since(begin));
        let Lag::Known(hour) = lag(&history, 700_000 - 14_400) else { panic!("an hour is remembered") };
        assert!(hour >= Duration::from_hours(1) && hour < Duration::from_hours(1) + longest / 50, "{hour:?}");
    }

    #[test]
    fn a_new_primary_that_lacks_the_end_of_the_old_ones_log_begins_a_new_history() {
        let (mut history, now) = history(10_000 * MS, &[100, 200, 300]);
        let then = Place { at: now, replayed: Position(300) };
        let later = now + 250 * MS;
        history.note(later, Position(250));
        assert_eq!(history.lag(Position(300), Some(then)), Lag::Diverged, "it has what was lost");
        let fresh = Place { at: later, replayed: Position(260) };
        assert_eq!(history.lag(Position(260), Some(fresh)), Lag::Known(Duration::ZERO));
        assert_eq!(lag(&history, 250), Lag::Known(Duration::ZERO));
    }

    #[test]
    fn a_primary_that_was_away_for_long_leaves_its_replicas_where_they_are() {
        let away = |away: Duration, is_away: bool| {
            let (mut history, now) = history(10_000 * MS, &[100, 200, 300]);
            if is_away {
                history.interrupt();
            }
            history.note(now + away, Position(400));
            lag(&history, 300)
        };
        assert_eq!(away(20_000 * MS, true), Lag::AtLeast(Duration::ZERO), "nobody could have followed it");
        assert_eq!(away(5_000 * MS, true), Lag::Known(5_000 * MS), "a session that ended hides no lag");
        assert_eq!(away(20_000 * MS, false), Lag::Known(20_000 * MS));
        let (mut history, now) = history(10_000 * MS, &[100]);
        history.interrupt();
        history.note(now + 20_000 * MS, Position(200));
        history.note(now + 27_000 * MS, Position(300));
        assert_eq!(lag(&history, 100), Lag::AtLeast(7_000 * MS), "from its return on it counts again");
        assert_eq!(lag(&history, 200), Lag::Known(7_000 * MS));
    }

    #[test]
    fn a_replica_that_has_diverged_stays_so_until_its_session_ends_or_another_primary_is_there() {
        let (mut history, mut now) = history(10_000 * MS, &[100, 200, 300]);
        let mut trail = Trail::default();
        let mut ask = |history: &mut History, written, replayed| {
            now += 250 * MS;
            history.note(now, Position(written));
            trail.follow(history, now + MS, Some(Position(replayed)))
        };
        assert_eq!(ask(&mut history, 300, 350), Lag::Known(Duration::ZERO), "it may be asked later");
        assert_eq!(ask(&mut history, 300, 350), Lag::Diverged);
        assert_eq!(ask(&mut history, 400, 350), Lag::Diverged, "the primary's own writes do not mend it");
        assert_eq!(ask(&mut history, 500, 500), Lag::Diverged);
        history.begin_anew();
        assert_eq!(
            ask(&mut history, 500, 500),
            Lag::Known(Duration::ZERO),
            "it was the other one that was wrong"
        );
        assert_eq!(Trail::default().follow(&history, now, Some(Position(500))), Lag::Known(Duration::ZERO));
    }

    #[test]
    fn a_diverged_replica_is_not_taken_back_for_a_moment_when_a_primary_begins_a_new_history() {
        let (mut history, now) = history(10_000 * MS, &[100, 200]);
        let mut trail = Trail::default();
        trail.follow(&history, now + MS, Some(Position(300)));
        history.note(now + 250 * MS, Position(200));
        assert_eq!(trail.follow(&history, now + 500 * MS, Some(Position(300))), Lag::Diverged);
        // Asked before the replica's last answer: it may have come to all of that since.
        history.note(now + 400 * MS, Position(150));
        assert_eq!(trail.follow(&history, now + 501 * MS, Some(Position(300))), Lag::Diverged);
        history.note(now + 750 * MS, Position(160));
        assert_eq!(trail.follow(&history, now + 751 * MS, Some(Position(300))), Lag::Diverged);
    }

    #[test]
    fn a_replica_that_says_no_place_is_behind_as_soon_as_there_is_something_to_be_behind_of() {
        let at = Instant::now();
        assert_eq!(Trail::default().follow(&History::new(MS), at, None), Lag::Unknown);
        let (history, now) = history(10_000 * MS, &[100]);
        assert_eq!(Trail::default().follow(&history, now, None), Lag::AtLeast(Duration::ZERO));
    }
}
