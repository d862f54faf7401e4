//! The first contact with the database, and the wait for it.
//!
//! **Invariant:** only the first contact may end the start; what comes later is served around.

use std::time::Duration;

use futures_util::future::join_all;

use crate::commands::fail;
use crate::database::plan::{Plan, Room};
use crate::database::probe::{self, Facts};
use crate::database::replicas;
use crate::database::{Config, Reach, Trouble};
use crate::exit::Exit;

/// Time between attempts at the first contact.
const PAUSE: Duration = Duration::from_millis(250);

/// Why the start ends at the first contact.
pub(super) enum Refused {
    /// PostgreSQL has too few connections for the plan.
    NoRoom(String),
    /// PostgreSQL was not reached in the time given.
    Unreached(String),
}

/// How long the first contact may hold up the workers; longer, and they serve what needs no database meanwhile.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// The database as the service was told of it.
pub(super) struct Place<'a> {
    pub(super) config: &'a Config,
    /// For people.
    pub(super) name: String,
}

impl Place<'_> {
    /// What there is, for people.
    pub(super) fn describe(&self, facts: &Facts) -> String {
        let pooled = if facts.is_pooled { ", behind a pooler, whose limits hold" } else { "" };
        format!("PostgreSQL {} {}{pooled}", facts.version, self.name)
    }

    /// The first look at the start, before any connection of ours is open: what it finds, or why the start ends.
    pub(super) async fn first_look(&self, plan: &Plan) -> Result<Result<Facts, Trouble>, Refused> {
        let facts = match look_once(self.config).await {
            Ok(facts) => facts,
            Err(why) => return Ok(Err(why)),
        };
        if check(plan, &facts, 0).is_ok() {
            return Ok(Ok(facts));
        }
        // A predecessor's sessions may be ending just now: after a restart they are gone at the second look.
        tokio::time::sleep(FIRST_LOOK).await;
        match look_once(self.config).await {
            Ok(facts) => check(plan, &facts, 0).map(|()| Ok(facts)),
            Err(why) => Ok(Err(why)),
        }
    }

    /// The rest of the first contact, where the first look did not reach the database.
    pub(super) async fn first_contact(&self, patience: Option<Duration>) -> Result<Facts, Refused> {
        first_contact(self.config, patience).await
    }

    /// Judges what it found by the plan that is in force by then, and has it said.
    pub(super) fn settle(
        &self,
        contact: Result<Facts, Refused>,
        plan: &Plan,
        ours: u32,
        reach: &Reach,
    ) -> Result<(), Refused> {
        let facts = contact?;
        check(plan, &facts, ours)?;
        reach.greet(self.describe(&facts));
        Ok(())
    }
}

/// Looks at every replica at the start: what each is, or why it is not reached. One with too little room for the plan ends the start.
pub(super) async fn look_at_replicas(
    plan: &Plan,
    reads: &Config,
) -> Result<Vec<(String, Result<Facts, String>)>, Refused> {
    let hosts = replicas::each(reads).unwrap_or_default();
    let looks = hosts.iter().map(|(name, config)| async { (name.clone(), look(config).await) });
    let found = join_all(looks).await;
    for (name, facts) in &found {
        if let Ok(facts) = facts {
            // One that is named and never read from while it is the primary has the writes' side alone.
            let is_read_there = reads.reads_at_primary() && !facts.is_standby;
            let checked = plan.check_replica(facts.room, is_read_there);
            checked.map_err(|error| {
                Refused::NoRoom(format!("on {name}, which --database-read-url names: {error}"))
            })?;
        }
    }
    Ok(found)
}

/// Asks once, for no longer than workers may be held up.
pub(super) async fn look(config: &Config) -> Result<Facts, String> {
    look_once(config).await.map_err(|trouble| trouble.to_string())
}

async fn look_once(config: &Config) -> Result<Facts, Trouble> {
    let asked = tokio::time::timeout(FIRST_LOOK, probe::ask(config)).await;
    asked.unwrap_or_else(|_| Err(Trouble::away("it has not answered yet")))
}

/// Whether it would serve, asked once and for no longer than that.
pub(super) async fn try_out(config: &Config) -> Result<(), String> {
    let tried = tokio::time::timeout(FIRST_LOOK, probe::try_out(config)).await;
    let tried = tried.unwrap_or_else(|_| Err(Trouble::away("it has not answered in time")));
    tried.map_err(|trouble| trouble.to_string())
}

/// Asks until PostgreSQL answers or `patience` is over; without patience for as long as it takes.
async fn first_contact(config: &Config, patience: Option<Duration>) -> Result<Facts, Refused> {
    let mut last = String::from("it was not asked yet");
    let asked = async {
        loop {
            match probe::ask(config).await {
                Ok(facts) => return facts,
                Err(trouble) => last = trouble.to_string(),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    match patience {
        None => Ok(asked.await),
        Some(patience) => match tokio::time::timeout(patience, asked).await {
            Ok(facts) => Ok(facts),
            Err(_) => Err(Refused::Unreached(last)),
        },
    }
}

/// Holds the plan against what the server says; connections of our own are part of the plan, not in its way. Those of a pooler are
/// neither: what it keeps open is for us, and how many of ours it takes it says to nobody.
pub(super) fn check(plan: &Plan, facts: &Facts, ours: u32) -> Result<(), Refused> {
    if facts.is_pooled {
        return Ok(());
    }
    // Where ours are open, those that watch are there as well.
    let ours = if ours > 0 { ours.saturating_add(plan.watching()) } else { 0 };
    let room = Room { taken: facts.room.taken.saturating_sub(ours), ..facts.room };
    plan.check(room).map_err(|error| Refused::NoRoom(error.to_string()))
}

/// Says why the start ends.
pub(super) fn refuse(refused: Refused) -> Exit {
    match refused {
        Refused::NoRoom(why) => fail(Exit::Settings, why),
        Refused::Unreached(why) => {
            fail(Exit::DatabaseUnreached, format_args!("the database was not reached in time: {why}"))
        }
    }
}
