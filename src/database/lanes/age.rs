//! Replaces lanes that are too old, so that sessions come back to a server that was away, and none lives for ever.
//!
//! One is replaced at a time. Where there may be one more, its successor is opened first. Where there are as many as there may be, it takes
//! no further request, ends when it has answered what it has, and its successor is opened in its place at once: the others serve
//! meanwhile, and where there is no other, requests wait for as long as opening takes.
//!
//! **Invariant:** there are never more lanes than there may be, and no request fails because a lane is old.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Lanes, open};

/// So many looks in the life of a lane: it is replaced within a part of its age of the time that it is due.
const LOOKS: u32 = 50;
/// The times between two looks, at the least and at the most.
const LOOK_EVERY: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(5)];

impl Lanes {
    /// Replaces those that have become older than this, until the worker's runtime ends.
    pub(super) async fn replace_aged(self: Rc<Self>, age: Duration) {
        let [least, most] = LOOK_EVERY;
        loop {
            sleep((age / LOOKS).clamp(least, most)).await;
            let now = Instant::now();
            // While PostgreSQL holds something up, each lane counts.
            let is_calm = self.held.works().is_none() && !self.opening.get() && !self.lost.get();
            let is_at_it = self.open.borrow().iter().any(|lane| lane.is_retired());
            let aged =
                self.open.borrow().iter().find(|lane| lane.is_aged(now) && !lane.is_surplus()).cloned();
            let Some(aged) = aged.filter(|_| is_calm && !is_at_it) else { continue };
            let has_room = self.open.borrow().len() < self.max_size.get() as usize;
            if has_room {
                self.opening.set(true);
                // Goes on until it has one.
                open::open_one(Rc::clone(&self)).await;
            }
            aged.retire();
            self.replaced.given_up();
            self.end_surplus();
            if !has_room {
                while !aged.is_closed() {
                    sleep(least).await;
                    self.end_surplus();
                }
                self.replaced_at.set(Some(Instant::now()));
                self.forget_closed();
                drop(aged);
                if self.open.borrow().len() < self.max_size.get() as usize && !self.opening.get() {
                    self.open_another();
                }
            }
        }
    }
}
