//! When a worker's sessions are given up because they stopped taking writes: the server was demoted or set to read only, or a proxy
//! leads elsewhere by now. New ones are opened where the kind of server that was asked for is found, or nowhere.
//!
//! **Invariant:** where no server for writes was asked for (`target_session_attrs`), none is given up; and however many writes fail, it
//! is done once a [`PERIOD`] at the most.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use super::config::Config;

/// The least time between two renewals, so that a server that says one thing and does another is not stormed.
const PERIOD: Duration = Duration::from_secs(1);

/// A worker's renewals.
#[derive(Debug)]
pub(super) struct Renewal {
    wants_writes: bool,
    last: Cell<Option<Instant>>,
}

impl Renewal {
    /// For sessions with this database.
    pub(super) fn new(config: &Config) -> Self {
        Self { wants_writes: config.standing().wants_writes(), last: Cell::new(None) }
    }

    /// A write was refused: whether to give all sessions up now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let is_due = self.wants_writes && self.last.get().is_none_or(|last| now - last >= PERIOD);
        if is_due {
            self.last.set(Some(now));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewal(text: &str) -> Renewal {
        Renewal::new(&text.parse().unwrap())
    }

    #[test]
    fn many_refused_writes_are_one_renewal() {
        let (renewal, now) = (renewal("host=db target_session_attrs=read-write"), Instant::now());
        assert!(renewal.is_due(now) && !renewal.is_due(now));
        assert!(renewal.is_due(now + PERIOD));
    }

    #[test]
    fn who_asked_for_no_server_that_takes_writes_keeps_the_one_there_is() {
        assert!(!renewal("host=db").is_due(Instant::now()));
        assert!(!renewal("host=db target_session_attrs=any").is_due(Instant::now()));
    }
}
