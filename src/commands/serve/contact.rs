//! The first contact with the database, and the wait for it.
//!
//! **Invariant:** only the first contact may end the start; what comes later is served around.

use std::time::Duration;

use crate::database::plan::{Plan, Room};
use crate::database::probe::{self, Facts};
use crate::database::{Config, Reach};

/// Time between attempts at the first contact.
const PAUSE: Duration = Duration::from_millis(250);

/// Why the start ends at the first contact.
pub(super) enum Refused {
    /// PostgreSQL has too few connections for the plan.
    NoRoom(String),
    /// PostgreSQL was not reached in the time given.
    Unreached(String),
}

/// Asks until PostgreSQL answers or `patience` is over; without patience for as long as it takes.
pub(super) async fn first_contact(
    config: &Config,
    plan: &Plan,
    reach: &Reach,
    patience: Option<Duration>,
) -> Result<Facts, Refused> {
    let mut last = String::from("it was not asked yet");
    let asked = async {
        loop {
            match probe::ask(config).await {
                Ok(facts) => return facts,
                Err(why) => last = why,
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let facts = match patience {
        None => asked.await,
        Some(patience) => match tokio::time::timeout(patience, asked).await {
            Ok(facts) => facts,
            Err(_) => return Err(Refused::Unreached(last)),
        },
    };
    check(plan, &facts, reach).map(|()| facts)
}

/// Holds the plan against what the server says; connections of our own are part of the plan, not in its way.
pub(super) fn check(plan: &Plan, facts: &Facts, reach: &Reach) -> Result<(), Refused> {
    let room = Room { taken: facts.room.taken.saturating_sub(reach.open()), ..facts.room };
    plan.check(room).map_err(|error| Refused::NoRoom(error.to_string()))
}
