//! One request's use of the database, whichever way requests share connections.
//!
//! **Invariant:** a session that is not finished gives its connection up as one with answers pending.

use std::rc::Rc;

use tokio::time::Instant;
use tokio_postgres::Client;

use super::error::Error;
use super::exclusive::{Checkout, Exclusive};
use super::lanes::{Lanes, Ticket};
use super::statements::Statements;

/// How a worker's requests get at its database connections.
#[derive(Clone)]
pub(super) enum Access {
    /// Many requests on each connection.
    Pipelined(Rc<Lanes>),
    /// One request on each connection.
    Exclusive(Rc<Exclusive>),
}

/// One request's place on a database connection.
pub(super) struct Session {
    hold: Hold,
    deadline: Instant,
}

enum Hold {
    Ticket(Ticket),
    Checkout(Box<Checkout>),
}

impl Access {
    /// Has so many database connections at the most from here on.
    pub(super) fn resize(&self, max_size: u32) {
        match self {
            Self::Pipelined(lanes) => lanes.resize(max_size),
            Self::Exclusive(pool) => pool.resize(max_size),
        }
    }

    /// Waits for a place for `queries` queries until the deadline.
    async fn enter(&self, queries: u32, deadline: Instant) -> Result<Session, Error> {
        let hold = match self {
            Self::Pipelined(lanes) => Hold::Ticket(lanes.enter(queries, deadline).await?),
            Self::Exclusive(pool) => Hold::Checkout(Box::new(pool.check_out(deadline).await?)),
        };
        Ok(Session { hold, deadline })
    }

    /// Runs `work` on a place of its own and gives the place back as the outcome allows.
    pub(super) async fn run<T>(
        &self,
        queries: u32,
        deadline: Instant,
        work: impl AsyncFnOnce(&Client, &Statements) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let session = self.enter(queries, deadline).await?;
        match &session.hold {
            // The lane's watch ends the lane at the deadline, and the work with it.
            Hold::Ticket(ticket) => match work(ticket.client(), ticket.statements()).await {
                Err(Error::Lost) if ticket.was_ended() => Err(Error::Deadline),
                outcome => session.settle(outcome),
            },
            Hold::Checkout(checkout) => {
                let work = work(checkout.client()?, checkout.statements());
                match tokio::time::timeout_at(session.deadline, work).await {
                    Ok(outcome) => session.settle(outcome),
                    Err(_) => Err(Error::Deadline),
                }
            }
        }
    }
}

impl Session {
    /// After a success nothing is pending; after a failure something may be.
    fn settle<T>(self, outcome: Result<T, Error>) -> Result<T, Error> {
        if outcome.is_ok() {
            match self.hold {
                Hold::Ticket(ticket) => ticket.finish(),
                Hold::Checkout(checkout) => checkout.finish(),
            }
        }
        outcome
    }
}
