//! One request's use of the database, whichever way requests share connections.
//!
//! **Invariant:** a session that is not finished gives its connection up as one with answers pending.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::error::Error;
use super::exclusive::{Checkout, Exclusive};
use super::gate::Gate;
use super::lanes::{Lanes, Ticket, Work};
use super::queue::Queue;
use super::reach::Reach;
use super::renewal::Renewal;
use super::replicas::Fleet;
use super::statements::Statements;
use crate::telemetry::counters::WorkerCounters;

/// How a worker's requests get at its database connections.
#[derive(Clone)]
pub(super) struct Access {
    way: Way,
    gate: Rc<Gate>,
    /// How far a request's deadline is from its beginning.
    patience: Duration,
    renewal: Rc<Renewal>,
    reach: Arc<Reach>,
    counters: Arc<WorkerCounters>,
}

/// How they share them.
#[derive(Clone)]
pub(super) enum Way {
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
    /// Begins to follow the gate's orders; must run on the worker's runtime.
    pub(super) fn start(
        way: Way,
        paused: watch::Receiver<bool>,
        patience: Duration,
        renewal: Renewal,
        reach: Arc<Reach>,
        counters: Arc<WorkerCounters>,
    ) -> Self {
        let gate = Rc::new(Gate::new(paused.clone()));
        tokio::task::spawn_local(Rc::clone(&gate).follow(paused));
        Self { way, gate, patience, renewal: Rc::new(renewal), reach, counters }
    }

    /// Has so many database connections at the most from here on.
    pub(super) fn resize(&self, max_size: u32) {
        match &self.way {
            Way::Pipelined(lanes) => lanes.resize(max_size),
            Way::Exclusive(pool) => pool.resize(max_size),
        }
    }

    /// How requests share connections.
    pub(super) fn way(&self) -> &Way {
        &self.way
    }

    /// Whether requests are held back.
    pub(super) fn is_held_back(&self) -> bool {
        self.gate.is_shut()
    }

    /// Where its waits are counted.
    pub(super) fn counters(&self) -> &WorkerCounters {
        &self.counters
    }

    /// Keeps to those replicas that are in use, for as long as the worker's runtime runs.
    pub(super) fn follow(&self, fleet: &Arc<Fleet>) {
        let (way, fleet) = (self.way.clone(), Arc::clone(fleet));
        tokio::task::spawn_local(async move {
            let mut changes = fleet.changes();
            loop {
                changes.mark_unchanged();
                match &way {
                    Way::Pipelined(lanes) => lanes.keep_to(&fleet),
                    Way::Exclusive(pool) => pool.keep_to(&fleet),
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Ends all connections; for when the worker ends.
    pub(super) fn close(&self) {
        match &self.way {
            Way::Pipelined(lanes) => lanes.close(),
            Way::Exclusive(pool) => pool.close(),
        }
    }

    /// Takes a place for `queries` queries, and says since when the request has it, if one is to be had at once. Nearly always there is one,
    /// and then nothing is measured: what passed since the request began is none of its wait.
    fn enter_at_once(&self, work: Work, queries: u32, deadline: Instant) -> Option<(Session, Instant)> {
        let Way::Pipelined(lanes) = &self.way else { return None };
        if self.gate.is_shut() {
            return None;
        }
        let ticket = lanes.enter_at_once(work, queries, deadline)?;
        self.counters.pool_wait.note_nothing();
        Some((Session { hold: Hold::Ticket(ticket), deadline }, self.begun(deadline)))
    }

    /// When a request with this deadline began.
    fn begun(&self, deadline: Instant) -> Instant {
        deadline.checked_sub(self.patience).unwrap_or(deadline)
    }

    /// The same where none is to be had at once; waits for one until the deadline, and has begun then.
    async fn enter(
        &self,
        work: Work,
        queries: u32,
        deadline: Instant,
        begun: Instant,
    ) -> Result<(Session, Instant), Error> {
        let mut has_waited = false;
        let mut waiting = pin!(self.wait(work, queries, deadline));
        let hold = poll_fn(|cx| {
            let poll = waiting.as_mut().poll(cx);
            has_waited |= poll.is_pending();
            poll
        })
        .await;
        let mut since = begun;
        if has_waited {
            since = Instant::now();
            self.counters.pool_wait.note(since.saturating_duration_since(begun));
        } else if hold.is_ok() {
            self.counters.pool_wait.note_nothing();
        }
        hold.map(|hold| (Session { hold, deadline }, since))
    }

    /// Waits until nobody holds requests back, and then for a place.
    async fn wait(&self, work: Work, queries: u32, deadline: Instant) -> Result<Hold, Error> {
        if self.gate.is_shut() {
            self.gate.pass(self.way.queue(), deadline).await?;
        }
        Ok(match &self.way {
            Way::Pipelined(lanes) => Hold::Ticket(lanes.enter(work, queries, deadline).await?),
            Way::Exclusive(pool) => Hold::Checkout(Box::new(pool.check_out(deadline).await?)),
        })
    }

    /// Runs `ask`, which is work of this kind, on a place of its own; its failure is noted.
    pub(super) async fn run<T>(
        &self,
        work: Work,
        queries: u32,
        deadline: Instant,
        ask: impl AsyncFnOnce(&Client, &Statements) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let outcome = self.attempt(work, queries, deadline, None, ask).await;
        outcome.inspect_err(|error| self.note_failure(work, error))
    }

    /// Runs `ask`, which is work of this kind, on a place of its own and gives the place back as the outcome allows. What was asked
    /// elsewhere before begins `again` then: the time that passed there is none of this place's.
    pub(super) async fn attempt<T>(
        &self,
        work: Work,
        queries: u32,
        deadline: Instant,
        again: Option<Instant>,
        ask: impl AsyncFnOnce(&Client, &Statements) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (session, since) = match again {
            None => match self.enter_at_once(work, queries, deadline) {
                Some(entered) => entered,
                None => self.enter(work, queries, deadline, self.begun(deadline)).await?,
            },
            Some(begun) => self.enter(work, queries, deadline, begun).await?,
        };
        let outcome = match &session.hold {
            // The lane's watch ends the lane at the deadline, and the work with it.
            Hold::Ticket(ticket) => match ask(ticket.client(), ticket.statements()).await {
                Err(Error::Lost) if ticket.was_ended(session.deadline) => Err(Error::Deadline),
                Err(Error::Lost) => {
                    ticket.leave_its_host();
                    Err(Error::Lost)
                }
                outcome => session.settle(outcome),
            },
            Hold::Checkout(checkout) => {
                let answer = async { ask(checkout.client()?, checkout.statements()).await };
                match tokio::time::timeout_at(session.deadline, answer).await {
                    Ok(outcome) => session.settle(outcome),
                    Err(_) => Err(Error::Deadline),
                }
            }
        };
        if outcome.is_ok() {
            self.counters.database_time.note(Instant::now().saturating_duration_since(since));
            if self.reach.is_refused() {
                self.reach.answer(work);
            }
        }
        outcome
    }

    /// A request that was asked here last was not served.
    #[cold]
    pub(super) fn note_failure(&self, work: Work, error: &Error) {
        self.counters.note_failure(error.failure());
        if error.is_read_only() && self.renewal.is_due(Instant::now()) {
            tracing::warn!("PostgreSQL takes no writes any more; this worker looks for a server that does");
            match &self.way {
                Way::Pipelined(lanes) => lanes.renew(),
                Way::Exclusive(pool) => pool.renew(),
            }
        }
        if let Some(trouble) = error.trouble() {
            self.reach.refuse(work, trouble);
        }
    }
}

impl Way {
    fn queue(&self) -> &Queue {
        match self {
            Self::Pipelined(lanes) => lanes.queue(),
            Self::Exclusive(pool) => pool.queue(),
        }
    }
}

impl Session {
    /// After a success nothing is pending; after a failure something may be.
    fn settle<T>(self, outcome: Result<T, Error>) -> Result<T, Error> {
        match (&outcome, self.hold) {
            (Ok(_), Hold::Ticket(ticket)) => ticket.finish(),
            (Ok(_), Hold::Checkout(checkout)) => checkout.finish(),
            (Err(error), Hold::Checkout(checkout)) if error.leaves_connection_sound() => {
                checkout.finish_behind_a_barrier(self.deadline);
            }
            (Err(_), Hold::Ticket(ticket)) => ticket.fail(),
            (Err(Error::Lost), Hold::Checkout(checkout)) => checkout.leave_its_host(),
            (Err(_), Hold::Checkout(_)) => {}
        }
        outcome
    }
}
