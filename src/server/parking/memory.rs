//! Gives memory back that connections needed while they were served.
//!
//! mimalloc keeps freed pages for a second (its `purge_delay`) in case they are wanted again, and looks at them again when another page
//! is freed: after a crowd was served and fell silent that moment would not come, and twenty times what the parked connections
//! need would stay resident (measured: 0.2 to 0.5 KB a connection with this, 2 to 10 KB without).
//!
//! **Invariant:** it costs one allocation each [`SETTLE`] while a crowd comes and goes, and nobody else anything.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::Notify;

/// Connections that make a crowd: together they held some 5 MB.
const CROWD: usize = 256;
/// How long to wait for the allocator to be willing, with a margin.
const SETTLE: Duration = Duration::from_millis(2_500);
/// A block that has pages of its own, so that freeing it frees pages.
const OWN_PAGES: usize = 1 << 20;

/// Counts connections that have stopped being served.
#[derive(Default)]
pub(super) struct Memory {
    released: Cell<usize>,
    crowd: Notify,
}

impl Memory {
    /// A connection has freed its buffers.
    pub(super) fn note_released(&self) {
        self.released.set(self.released.get() + 1);
        if self.released.get() == CROWD {
            self.crowd.notify_one();
        }
    }

    /// Sees that freed pages go back to the system once a crowd has been served; does not end.
    pub(super) async fn give_back(&self) {
        loop {
            self.crowd.notified().await;
            while self.released.replace(0) > 0 {
                tokio::time::sleep(SETTLE).await;
                give_pages_back();
            }
        }
    }
}

/// Has the allocator look at what it keeps, and give back what was freed long enough ago.
pub(in crate::server) fn give_pages_back() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(OWN_PAGES)));
}
