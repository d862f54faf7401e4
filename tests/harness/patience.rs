//! Waiting for a condition, never for a time.
//!
//! **Invariant:** a wait that is not met within its limit fails the test and says what it waited for.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything that should happen soon may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long to rest between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

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
