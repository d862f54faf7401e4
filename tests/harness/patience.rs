//! Waiting for a condition, never for a time.
//!
//! **Invariant:** a wait that is not met within its limit fails the test and says what it waited for.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything that should happen soon may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long to rest between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Measures up to three times until one takes no longer than `limit`: another program may have the cores for a while.
pub(crate) fn expect_within(what: &str, limit: Duration, mut run: impl FnMut() -> Duration) {
    let mut took = Vec::new();
    while took.len() < 3 {
        let one = run();
        if one <= limit {
            return;
        }
        took.push(one);
    }
    panic!("{what} took {took:?}, and never {limit:?} or less");
}

/// Looks until there is something to return; panics past `limit`.
pub(crate) fn wait_until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for {what}");
        thread::park_timeout(BETWEEN_LOOKS);
    }
}
