//! How far a sweep has come: a bar with the time that is left, rewritten on a terminal, and a line now and then elsewhere.
//!
//! **Invariant:** it goes to standard error, and that nobody reads there ends nothing.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::config::sweep::Course;
use crate::sweep::grid::Point;
use crate::sweep::schedule::Progress as Now;

/// Between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);
/// What a visit takes beside its load, before that is known.
const BESIDE: Duration = Duration::from_millis(400);
/// The bar's length.
const BAR: usize = 24;

/// Prints progress.
pub(super) struct Progress {
    terminal: bool,
    started: Instant,
    last_line: Option<Instant>,
    rounds: u32,
    /// What a visit should take.
    visit: Duration,
}

impl Progress {
    pub(super) fn of(course: &Course) -> Self {
        Self {
            terminal: io::stderr().is_terminal(),
            started: Instant::now(),
            last_line: None,
            rounds: course.rounds,
            visit: course.warm_up + course.measured + BESIDE,
        }
    }

    /// Shows that this point is visited next.
    pub(super) fn show(&mut self, now: Now, point: Option<&Point>) {
        let Some(point) = point else { return };
        let left = tell(left(now, self.started.elapsed(), self.visit));
        let Now { done, all, round, .. } = now;
        let text = format!(
            "{} {done} of {all}, round {} of {}, {left} left: {}, {}, {}",
            bar(done, all),
            round + 1,
            self.rounds,
            point.workload,
            point.way,
            point.size
        );
        let mut stderr = io::stderr();
        if self.terminal {
            let _ = write!(stderr, "\r\x1b[K{text}");
            let _ = stderr.flush();
        } else if self.last_line.is_none_or(|last| last.elapsed() >= BETWEEN_LINES) {
            self.last_line = Some(Instant::now());
            let _ = writeln!(stderr, "{text}");
        }
    }

    /// Takes the bar away that a terminal still shows.
    pub(super) fn clear(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// The rest at the pace so far, or at the pace that is expected before there is one.
fn left(now: Now, elapsed: Duration, visit: Duration) -> Duration {
    let missing = u32::try_from(now.all - now.done).unwrap_or(u32::MAX);
    match u32::try_from(now.done_here) {
        Ok(done @ 1..) => elapsed.saturating_mul(missing) / done,
        _ => visit.saturating_mul(missing),
    }
}

fn tell(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..100 => format!("{seconds} s"),
        seconds @ 100..6000 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn bar(done: usize, all: usize) -> String {
    let full = BAR * done / all.max(1);
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_on_at_the_pace_so_far() {
        let now = |done, done_here| Now { done, done_here, all: 40, round: 1 };
        let second = Duration::from_secs(1);
        assert_eq!(left(now(0, 0), Duration::ZERO, second), 40 * second);
        assert_eq!(
            left(now(20, 10), 30 * second, second),
            60 * second,
            "those before a resumption have no pace"
        );
        assert_eq!(left(now(40, 40), 30 * second, second), Duration::ZERO);
        assert_eq!([5, 130, 7300].map(|s| tell(Duration::from_secs(s))), ["5 s", "3 min", "2 h 1 min"]);
        assert_eq!(
            (bar(0, 40), bar(20, 40).matches('#').count(), bar(40, 40).matches('.').count()),
            (format!("[{}]", ".".repeat(24)), 12, 0)
        );
    }
}
