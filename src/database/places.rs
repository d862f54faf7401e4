//! Places in a pool for exclusive checkouts: who has one may hold a database connection, or be opening one.
//!
//! deadpool counts a connection once it is open, and has no way to take places back that nobody uses; so we count ourselves.
//!
//! **Invariant:** a place is given only while fewer are taken than there are, first come, first served; and however it is given up,
//! the next in line hears of it.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::{Mutex, MutexGuard, Notify, Semaphore};

use super::error::Error;

/// The places of one worker.
pub(super) struct Places {
    free: Semaphore,
    count: Cell<usize>,
    /// Taken places that are no more once they are given up.
    surplus: Cell<usize>,
    /// Who has a place and waits for a connection; only the first of them looks for one, so that nobody who comes later takes it.
    turn: Mutex<()>,
    /// Wakes that first one.
    returned: Notify,
}

/// A taken place, until it is dropped.
pub(super) struct Place(Rc<Places>);

impl Places {
    pub(super) fn new(count: usize) -> Rc<Self> {
        let (free, count) = (Semaphore::new(count), Cell::new(count));
        let (turn, returned) = (Mutex::new(()), Notify::new());
        Rc::new(Self { free, count, surplus: Cell::new(0), turn, returned })
    }

    /// Waits for a place.
    pub(super) async fn take(self: &Rc<Self>) -> Result<Place, Error> {
        // Nobody closes it.
        self.free.acquire().await.map_err(|_| Error::Lost)?.forget();
        Ok(Place(Rc::clone(self)))
    }

    /// Has another number of places from here on.
    pub(super) fn resize(&self, count: usize) {
        let before = self.count.replace(count);
        let fewer = before.saturating_sub(count);
        self.surplus.update(|surplus| surplus + fewer - self.free.forget_permits(fewer));
        let more = count.saturating_sub(before);
        let kept = self.surplus.get().min(more);
        self.surplus.update(|surplus| surplus - kept);
        self.free.add_permits(more - kept);
    }

    /// Waits to be the first of those who have a place and no connection.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Waits until somebody gives a place up, or there is another reason to look.
    pub(super) async fn returned(&self) {
        self.returned.notified().await;
    }

    /// Has the first of those who have no connection look for one.
    pub(super) fn look(&self) {
        self.returned.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.0.surplus.get().checked_sub(1) {
            Some(left) => self.0.surplus.set(left),
            None => self.0.free.add_permits(1),
        }
        self.0.look();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn take(places: &Rc<Places>) -> Option<Place> {
        places.take().now_or_never()?.ok()
    }

    fn take_all(places: &Rc<Places>) -> Vec<Place> {
        std::iter::from_fn(|| take(places)).collect()
    }

    #[test]
    fn none_is_given_after_a_cut_until_fewer_are_taken_than_there_are() {
        let places = Places::new(16);
        let mut taken: Vec<Place> = (0..6).filter_map(|_| take(&places)).collect();
        places.resize(4);
        for left in (4..6).rev() {
            assert!(take(&places).is_none(), "{} of 4 are taken", left + 1);
            taken.pop();
            assert_eq!(taken.len(), left);
        }
        assert!(take(&places).is_none(), "4 of 4 are taken");
        taken.pop();
        assert_eq!(take_all(&places).len(), 1);
    }

    #[test]
    fn any_order_of_sizes_leaves_as_many_as_the_last_one_says() {
        for sizes in [[8, 2, 6], [2, 20, 1], [20, 3, 16], [1, 1, 9]] {
            let places = Places::new(16);
            let taken: Vec<Place> = (0..10).filter_map(|_| take(&places)).collect();
            for size in sizes {
                places.resize(size);
            }
            assert_eq!(take_all(&places).len(), sizes[2].saturating_sub(10), "{sizes:?}, 10 taken");
            drop(taken);
            assert_eq!(take_all(&places).len(), sizes[2], "{sizes:?}");
        }
    }

    #[test]
    fn a_place_that_is_dropped_goes_to_the_next_in_line() {
        let places = Places::new(1);
        let first = take(&places);
        let mut next = Box::pin(places.take());
        let mut gone = Box::pin(places.take());
        assert!((&mut next).now_or_never().is_none() && (&mut gone).now_or_never().is_none());
        drop(gone);
        drop(first);
        assert!(next.now_or_never().is_some_and(|place| place.is_ok()));
    }
}
