//! Another size for the pool of a running service: judged as a reload is, but for what a settings file says.
//!
//! **Invariant:** whoever wished for it hears what became of it, and nothing is changed here.

use futures_util::future::LocalBoxFuture;
use tokio::sync::oneshot;

use super::contact::{self, Refused};
use super::house::House;
use super::{Checked, room};
use crate::config::ServeArgs;
use crate::config::workers::usable_cores;
use crate::database::Config;
use crate::database::plan::Plan;
use crate::database::probe::Facts;
use crate::telemetry::admin::{Change, Refusal, Resize, Resized};

/// The most database connections for each core, as of the settings.
const MOST_PER_CORE: u32 = 1_000;

/// A size that is sound, but for the room that PostgreSQL has for it.
pub(super) struct Judged {
    plan: Plan,
    facts: Result<Facts, String>,
    /// Connections of ours among those that PostgreSQL has.
    pub(super) ours: u32,
    answer: oneshot::Sender<Result<Resized, Refusal>>,
}

/// Says that nothing can be changed just now.
pub(super) fn put_off(change: Change) {
    refuse(change.answer, Refusal::Conflict("a reload is under way: ask again when it is done".into()));
}

/// Judges a wish, and has PostgreSQL asked whether it has room; none where it is refused.
pub(super) fn judge<'a>(
    house: &House<'_>,
    args: &ServeArgs,
    in_force: &Plan,
    config: Config,
    change: Change,
) -> Option<LocalBoxFuture<'a, Judged>> {
    let Change { wish, ours, answer } = change;
    match check(house, args, in_force, wish) {
        Ok(plan) => Some(Box::pin(async move {
            let facts = contact::look(&config).await;
            Judged { plan, facts, ours, answer }
        })),
        Err(why) => {
            refuse(answer, Refusal::Invalid(why));
            None
        }
    }
}

fn check(house: &House<'_>, args: &ServeArgs, in_force: &Plan, wish: Resize) -> Result<Plan, String> {
    let bound = args.database.database_max_conn;
    let plan = match wish {
        Resize::PerCore(number) => in_force.with_per_core(number, bound),
        Resize::Total(total) => {
            let most = MOST_PER_CORE.saturating_mul(usable_cores().get());
            if total > most {
                return Err(format!(
                    "total is {most} at the most, {MOST_PER_CORE} for each core, not {total}"
                ));
            }
            in_force.with_total(total, bound)
        }
    };
    let plan = plan.map_err(|error| error.to_string())?;
    keeps_room(house, args, plan)?;
    Ok(plan)
}

/// Refuses a plan whose descriptors would be taken from clients to whom `--max-connections` promised them.
pub(super) fn keeps_room(house: &House<'_>, args: &ServeArgs, plan: Plan) -> Result<(), String> {
    let checked =
        Checked { plan, topology: house.checked.topology, given: None, reads: house.checked.reads.clone() };
    room(args, &checked, house.descriptors).map(drop).map_err(|error| error.to_string())
}

impl Judged {
    /// The plan to be in force, where PostgreSQL has room for it or cannot be asked; says so to whoever wished for it by `take`, which
    /// puts it in force.
    pub(super) fn settle(self, ours: u32, take: impl FnOnce(&Plan) -> Result<(), String>) {
        if let Ok(facts) = &self.facts
            && let Err(Refused::NoRoom(why) | Refused::Unreached(why)) =
                contact::check(&self.plan, facts, ours)
        {
            return refuse(self.answer, Refusal::Conflict(why));
        }
        match take(&self.plan) {
            Ok(()) => {
                let (total, sum) = (self.plan.connections_total(), self.plan.sum());
                tracing::info!("pool: {sum}");
                // Whoever wished for it may have given up.
                let _ = self.answer.send(Ok(Resized { total, sum }));
            }
            Err(why) => refuse(self.answer, Refusal::Conflict(why)),
        }
    }
}

fn refuse(answer: oneshot::Sender<Result<Resized, Refusal>>, why: Refusal) {
    // As above.
    let _ = answer.send(Err(why));
}
