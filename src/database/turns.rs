//! One query at a time on a connection behind which a transaction pooler may stand.
//!
//! `PgBouncer` before 1.21, Debian 12's among them, gives the server to the next client when the answers to all the Syncs that it has
//! seen are in. Where a further query has arrived in part by then, its first messages stay with that server, and the next client's
//! come behind them (<https://github.com/pgbouncer/pgbouncer/issues/759>). With no query sent before the last one is answered, none
//! ever has arrived in part by then.
//!
//! **Invariant:** a query is sent when every answer before it is in, also where a request went away from its own.

use std::pin::Pin;

use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::{Client, Error};

/// A connection's turns, taken in the order of asking.
#[derive(Default)]
pub(super) struct Turns {
    /// Whether an answer is pending that nobody waits for any more.
    is_left: Mutex<bool>,
}

/// Leave to ask one query. Dropped without its end, its answer is waited for before the next turn.
pub(super) struct Turn<'a>(MutexGuard<'a, bool>);

/// The wait for a turn, boxed: those that need none make no room for it.
type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Turn<'a>, Error>> + 'a>>;

impl Turns {
    /// Waits until every answer before is in.
    pub(super) fn begin<'a>(&'a self, client: &'a Client) -> Waiting<'a> {
        Box::pin(async move {
            let mut is_left = self.is_left.lock().await;
            if *is_left {
                // One whole message, which is never seen in part: it is answered after everything before it.
                client.simple_query("").await?;
            }
            *is_left = true;
            Ok(Turn(is_left))
        })
    }
}

impl Turn<'_> {
    /// The answer is in.
    pub(super) fn end(mut self) {
        *self.0 = false;
    }
}
