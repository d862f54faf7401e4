//! Tells connections that are opened in place of lost ones from those that are opened for the first time.
//!
//! **Invariant:** connections that were given up on purpose are not lost.

use std::cell::Cell;

/// How many connections of a worker there have been at once, less those that it gave up on purpose.
#[derive(Debug, Default)]
pub(super) struct Replaced(Cell<u32>);

impl Replaced {
    /// One was opened, and so many are open now; says whether it stands for one that was lost.
    pub(super) fn opened(&self, open: u32) -> bool {
        let known = self.0.get();
        self.0.set(known.max(open));
        open <= known
    }

    /// One was closed that might have stayed.
    pub(super) fn given_up(&self) {
        self.0.set(self.0.get().saturating_sub(1));
    }

    /// There are to be no more than so many.
    pub(super) fn resized(&self, max_size: u32) {
        self.0.set(self.0.get().min(max_size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_more_than_ever_is_new_and_any_other_stands_for_a_lost_one() {
        let replaced = Replaced::default();
        let opened: Vec<bool> = [1, 2, 3].iter().map(|open| replaced.opened(*open)).collect();
        assert_eq!(opened, [false; 3]);
        assert!(replaced.opened(2) && replaced.opened(3), "two of the three were lost");
        assert!(!replaced.opened(4));
        replaced.resized(2);
        assert!(!replaced.opened(3), "there were to be two, and now there may be more");
        assert!(replaced.opened(1));
        replaced.given_up();
        assert!(!replaced.opened(3), "there were three, and one was given up");
    }
}
