//! How far a run has come: one line, rewritten on a terminal, and a new one every few seconds elsewhere.
//!
//! **Invariant:** it goes to standard error, and nothing is printed within the first second.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::load::report::Time;
use crate::load::{Job, Row};

/// Between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// Prints progress.
pub(super) struct Progress {
    terminal: bool,
    started: Instant,
    last_line: Instant,
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
        Self { terminal, started: now, last_line: now, whole, requests, answered: 0, failed: 0 }
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
        let (all, done) = (self.requests?, self.answered + self.failed);
        (done > 0).then(|| {
            let left = u32::try_from(all.saturating_sub(done) * 1000 / done).unwrap_or(u32::MAX);
            elapsed * left / 1000
        })
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
