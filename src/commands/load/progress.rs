//! How far a run has come: one line, rewritten on a terminal, and a new one every few seconds elsewhere.
//!
//! **Invariant:** it goes to standard error, and nothing is printed within the first second.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::load::hold::{Now, Step};
use crate::load::report::Time;
use crate::load::{Job, Row};

/// Between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// Between two looks at what comes in pieces.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Prints progress.
pub(super) struct Progress {
    terminal: bool,
    started: Instant,
    last_line: Instant,
    last_shown: Instant,
    /// How long it should take, where that is known.
    whole: Option<Duration>,
    /// How many requests are asked for, where that is known.
    requests: Option<u64>,
    answered: u64,
    failed: u64,
}

impl Progress {
    pub(super) fn of_run(job: &Job) -> Self {
        let whole = job.requests.is_none().then(|| job.warm_up + job.duration);
        Self::new(whole, job.requests.map(std::num::NonZero::get))
    }

    fn new(whole: Option<Duration>, requests: Option<u64>) -> Self {
        let now = Instant::now();
        let terminal = io::stderr().is_terminal();
        Self {
            terminal,
            started: now,
            last_line: now,
            last_shown: now,
            whole,
            requests,
            answered: 0,
            failed: 0,
        }
    }

    /// For connections that are held so long once they are open.
    pub(super) fn of_hold(hold_for: Duration) -> Self {
        Self::new(Some(hold_for), None)
    }

    /// Shows how far holding has come.
    pub(super) fn show_step(&mut self, now: &Now) {
        let &Now { step, elapsed, done, of, failed } = now;
        let seconds = elapsed.as_secs();
        let text = match (step, of) {
            (Step::Holding, _) | (_, None) => {
                let left = self.whole.unwrap_or_default().saturating_sub(elapsed).as_secs_f64().ceil();
                format!("holding: {seconds} s, {left} s left, {done} requests answered, {failed} failed")
            }
            (step, Some(all)) => {
                let what = if step == Step::Opening { "opening" } else { "asking each" };
                let eta = time_left(elapsed, done + failed, all);
                let eta =
                    eta.map_or_else(String::new, |left| format!(", {} s left", left.as_secs_f64().ceil()));
                format!("{what}: {seconds} s{eta}, {done} of {all}, {failed} failed")
            }
        };
        if self.last_shown.elapsed() >= BETWEEN_LOOKS {
            self.last_shown = Instant::now();
            self.line(&text);
        }
    }

    /// Shows one more second of a run.
    pub(super) fn show(&mut self, row: &Row) {
        self.answered += row.stats.answered();
        self.failed += row.stats.failed();
        let rate = row.stats.answered() + row.stats.warmed;
        let p99 = row.stats.raw.quantile_us(0.99).map_or_else(|| "-".into(), |us| Time(us).to_string());
        let eta =
            self.eta().map_or_else(String::new, |left| format!(", {} s left", left.as_secs_f64().ceil()));
        let elapsed = self.started.elapsed().as_secs();
        self.line(
            format_args!(
                "{elapsed} s{eta}: {rate}/s, p99 {p99}, {} answered, {} failed",
                self.answered, self.failed
            )
            .to_string()
            .as_str(),
        );
    }

    fn eta(&self) -> Option<Duration> {
        let elapsed = self.started.elapsed();
        if let Some(whole) = self.whole {
            return Some(whole.saturating_sub(elapsed));
        }
        time_left(elapsed, self.answered + self.failed, self.requests?)
    }

    /// Shows a line, if it is time for one.
    fn line(&mut self, text: &str) {
        let mut stderr = io::stderr();
        // That nobody reads there any more ends nothing.
        if self.terminal {
            let _ = write!(stderr, "\r\x1b[K{text}");
            let _ = stderr.flush();
        } else if self.last_line.elapsed() >= BETWEEN_LINES {
            self.last_line = Instant::now();
            let _ = writeln!(stderr, "{text}");
        }
    }

    /// Takes the line away that a terminal still shows.
    pub(super) fn clear(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// How long the rest takes at the pace so far; none before anything is done.
fn time_left(elapsed: Duration, done: u64, all: u64) -> Option<Duration> {
    let left = u128::from(all.saturating_sub(done));
    let nanoseconds = elapsed.as_nanos().checked_mul(left)?.checked_div(u128::from(done))?;
    Some(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_on_at_the_pace_so_far() {
        assert_eq!(time_left(Duration::from_secs(10), 1, 4), Some(Duration::from_secs(30)));
        assert_eq!(time_left(Duration::from_secs(10), 4, 4), Some(Duration::ZERO));
        assert_eq!(time_left(Duration::from_secs(10), 0, 4), None);
    }
}
