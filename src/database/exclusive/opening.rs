//! Opens the connections of a pool for exclusive checkouts, one at a time, by a task that outlives the request that asked for one.
//!
//! Where a connection more is refused while others serve, attempts grow apart to [`Backoff::MOST_FOR_ANOTHER`] and go on until one is
//! given, though it be wanted no longer: nothing else tells that a shortage is over.
//!
//! **Invariant:** a connection that nobody uses is never taken for one that was just opened.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError};
use futures_util::FutureExt as _;

use super::super::backoff::Backoff;
use super::super::connect::Ends;
use super::super::pool;
use super::super::reach::Trouble;
use super::super::shown::Shown;
use super::{AT_ONCE, Exclusive};

impl Exclusive {
    /// Opens a connection with its statements, without which it is closed again, and leaves it to those who wait.
    async fn open(&self) -> Result<(), Trouble> {
        let renewals = self.shown.renewals.get();
        let object = self.one_more().await.map_err(|error| pool::trouble(&error))?;
        self.lines.take(&object, self.newest.take(), &self.settings);
        let checkout = self.lend(object, None, renewals);
        if self.shown.replaced.opened(self.shown.set_size(&self.pool)) {
            self.shown.counters.reconnects.note();
        }
        match tokio::time::timeout(self.settings.wait, checkout.prepare(self.settings.statements)).await {
            Ok(Ok(_)) => checkout.finish(),
            Ok(Err(error)) => {
                return Err(error.trouble().unwrap_or_else(|| Trouble::away(error.to_string())));
            }
            Err(_) => return Err(Trouble::away("preparing its statements took too long")),
        }
        Ok(())
    }

    /// One that is opened now. The pool would give one that nobody uses first, so those are kept from it until it has begun to open another.
    async fn one_more(&self) -> Result<Object, PoolError> {
        self.shown.forget_closed(&self.pool);
        let idle = self.pool.status().size.saturating_sub(self.shown.in_use.get() as usize);
        let take = |_| self.pool.timeout_get(&AT_ONCE).now_or_never()?.ok();
        let kept: Vec<Object> = (0..idle).map_while(take).collect();
        let mut opening = pin!(self.pool.get());
        let begun = poll_fn(|cx| Poll::Ready(opening.as_mut().poll(cx))).await;
        drop(kept);
        match begun {
            Poll::Ready(opened) => opened,
            Poll::Pending => opening.await,
        }
    }

    /// Says what a failed attempt means, and how long the next one may wait at the most.
    fn note_failure(&self, trouble: Trouble, failed: u32) -> Duration {
        if self.shown.set_size(&self.pool) > 0 {
            self.shown.reach.short(trouble);
            return Backoff::MOST_FOR_ANOTHER;
        }
        if self.settings.may_be_elsewhere(failed) {
            return Backoff::MOST;
        }
        self.lost.set(true);
        self.shown.reach.lost(trouble);
        self.places.look();
        Backoff::MOST
    }
}

/// Opens one connection, and goes on trying until it is open, or one more would be too many.
pub(super) async fn open_one(exclusive: Rc<Exclusive>) {
    let (mut backoff, mut is_short, mut failed) = (Backoff::new(), false, 0);
    loop {
        // Those that came back meanwhile do. But where one was refused, only another attempt tells when that is over, wanted or not.
        while !is_short && exclusive.has_room() && exclusive.has_idle() {
            exclusive.wanted.notified().await;
        }
        if !exclusive.has_room() {
            break;
        }
        let Err(trouble) = exclusive.open().await else { break };
        failed += 1;
        let most = exclusive.note_failure(trouble, failed);
        is_short = most > Backoff::MOST;
        let wait = backoff.next(&mut exclusive.random.borrow_mut(), most);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // The connections that were there are gone: what was one more is now the first.
            () = exclusive.shown.until_alone(), if is_short => backoff = Backoff::new(),
        }
    }
    exclusive.lost.set(false);
    exclusive.opening.set(false);
    exclusive.shown.reach.reached();
    exclusive.places.look();
}

/// Takes connections that ended while nobody used them out of the pool, until the worker's runtime ends.
pub(super) async fn forget_closed(ends: Ends, pool: Pool, shown: Rc<Shown>) {
    loop {
        ends.next().await;
        shown.forget_closed(&pool);
        // Also where it was in use, and its request is done with it.
        shown.note_end(&pool);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::super::super::error::Error;
    use super::super::super::pool::PoolSettings;
    use super::super::super::reach::Reach;
    use super::super::super::stand_in::{self, StandIn};
    use super::*;

    const WAIT: Duration = Duration::from_secs(8);

    fn start(settings: PoolSettings, reach: &Arc<Reach>) -> Rc<Exclusive> {
        Rc::new(Exclusive::start(settings, reach, rand::make_rng(), Arc::default()).unwrap())
    }

    #[test]
    fn a_shortage_that_is_over_is_known_though_no_other_connection_is_wanted_any_more() {
        stand_in::run(async {
            let (database, reach) = (StandIn::start(1, true).await, Arc::default());
            let exclusive = start(database.pool(2, WAIT), &reach);
            let first = exclusive.check_out(Instant::now() + WAIT).await.ok().unwrap();
            let second = exclusive.check_out(Instant::now() + WAIT / 5).await;
            assert!(matches!(second, Err(Error::Deadline)));
            assert!(reach.tell().1.is_some_and(|short| short.contains("too many")));
            first.finish();
            database.most.set(1);
            while reach.tell().1.is_some() {
                tokio::task::yield_now().await;
            }
            assert_eq!(exclusive.pool.status().size, 2);
            exclusive.close();
        });
    }

    #[test]
    fn in_the_place_of_a_connection_that_has_ended_no_request_begins_to_open_another() {
        stand_in::run(async {
            let database = StandIn::start(8, true).await;
            let exclusive = start(database.pool(1, WAIT), &Arc::default());
            let first = exclusive.check_out(Instant::now() + WAIT).await.ok().unwrap();
            exclusive.lines.abort(first.object().unwrap());
            // It is put back as one that is sound, and ends then, as one does that the server closes.
            first.finish();
            tokio::task::yield_now().await;
            // Whether or not the pool was told of it by now.
            assert!(exclusive.take_idle().await.is_none());
            drop(exclusive.check_out(Instant::now() + WAIT).await.ok().unwrap());
            assert_eq!(database.attempts.get(), 2);
            exclusive.close();
        });
    }

    #[test]
    fn a_request_gets_no_connection_that_it_has_no_time_to_use() {
        stand_in::run(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut settings = StandIn::start(0, true).await.pool(1, WAIT);
            let port = listener.local_addr().unwrap().port();
            settings.config = format!("host=127.0.0.1 port={port} sslmode=disable user=me").parse().unwrap();
            let exclusive = start(settings, &Arc::default());
            // An eighth of eight seconds is kept for its queries.
            let deadline = Instant::now() + Duration::from_millis(1_200);
            assert!(matches!(exclusive.check_out(deadline).await, Err(Error::Deadline)));
            assert!(Instant::now() < deadline);
            exclusive.close();
        });
    }
}
