//! What a running process of its own takes anew: by a reload of its settings, or by a wish of the admin side.
//!
//! **Invariant:** one change at a time is judged, and a bad one changes nothing.

use futures_util::future::LocalBoxFuture;
use tokio::sync::watch;

use super::anew::{self, Anew};
use super::contact::{self, Refused};
use super::desk::Desk;
use super::house::{Ground, House};
use super::resize::{self, Judged};
use crate::config::ServeArgs;
use crate::config::words::Words;
use crate::database::plan::Plan;
use crate::database::probe::Facts;
use crate::database::{PoolSize, Reach};
use crate::telemetry::admin::Change;

/// Settings that a running process takes anew.
const LIVE: [&str; 4] = ["log", "pool-per-core", "pool-bounds", "database-max-conn"];

/// Whether a setting bears on the sizes of the pools.
fn is_of_pools(name: &str) -> bool {
    name != "log" && LIVE.contains(&name)
}

/// What a running process can take anew.
pub(super) struct Live<'a> {
    pub(super) house: &'a House<'a>,
    pub(super) ground: &'a Ground<'a>,
    pub(super) desk: &'a mut Desk,
    pub(super) reach: &'a Reach,
    sizes: Vec<watch::Sender<PoolSize>>,
    in_force: Words,
    args: ServeArgs,
    pub(super) plan: Plan,
    /// Whether the plan is other than the settings say.
    is_resized: bool,
    /// A reload for which PostgreSQL is being asked; signals are heard meanwhile.
    pub(super) asking: Option<LocalBoxFuture<'a, (Anew, Result<Facts, String>)>>,
    /// A size for which it is.
    pub(super) judging: Option<LocalBoxFuture<'a, Judged>>,
    /// Whether another reload was asked for during one of these.
    again: bool,
}

impl<'a> Live<'a> {
    pub(super) fn of(
        house: &'a House<'a>,
        ground: &'a Ground<'a>,
        desk: &'a mut Desk,
        reach: &'a Reach,
        sizes: Vec<watch::Sender<PoolSize>>,
    ) -> Self {
        Self {
            house,
            ground,
            desk,
            reach,
            sizes,
            in_force: house.words(),
            args: house.args.clone(),
            plan: house.checked.plan,
            is_resized: false,
            asking: None,
            judging: None,
            again: false,
        }
    }

    /// Judges another size for the pools.
    pub(super) fn judge(&mut self, change: Change) {
        if self.asking.is_some() || self.judging.is_some() {
            return resize::put_off(change);
        }
        let config = self.ground.place.config.clone();
        self.judging = resize::judge(self.house, &self.args, &self.plan, config, change);
    }

    /// Takes the size that was judged, if it is found well.
    pub(super) fn resize(&mut self, judged: Judged) {
        self.judging = None;
        let ours = self.reach.open();
        judged.settle(ours, |plan| {
            self.give(*plan);
            self.is_resized = true;
            Ok(())
        });
        self.follow_up();
    }

    /// Reads the settings anew, and has PostgreSQL asked where the pools' sizes differ.
    pub(super) fn reload(&mut self) {
        if self.asking.is_some() || self.judging.is_some() {
            anew::put_off();
            self.again = true;
            return;
        }
        match anew::read(self.house, &self.in_force) {
            Ok(anew) if self.is_resized || anew.changed.iter().any(|name| is_of_pools(name)) => {
                let config = self.ground.place.config;
                self.asking = Some(Box::pin(async move {
                    let facts = contact::look(config).await;
                    (anew, facts)
                }));
            }
            Ok(anew) => self.take(&anew),
            Err(why) => anew::refuse(&why),
        }
    }

    /// Whether a reload is under way, or another is to follow.
    pub(super) fn is_reloading(&self) -> bool {
        self.asking.is_some() || self.again
    }

    /// Goes on with a reload when PostgreSQL has said what room it has, or cannot be asked.
    pub(super) fn go_on(&mut self, (anew, facts): (Anew, Result<Facts, String>)) {
        self.asking = None;
        if let Ok(facts) = facts
            && let Err(Refused::NoRoom(why) | Refused::Unreached(why)) =
                contact::check(&anew.checked.plan, &facts, self.reach.open())
        {
            anew::refuse(&why);
        } else if let Err(why) = resize::keeps_room(self.house, &self.args, anew.checked.plan) {
            // By the connections in force: the file may ask for fewer, which this process does not take anew.
            anew::refuse(&why);
        } else {
            self.take(&anew);
        }
        self.follow_up();
    }

    /// Begins the reload that was asked for meanwhile.
    fn follow_up(&mut self) {
        if std::mem::take(&mut self.again) {
            self.reload();
        }
    }

    /// Takes anew what can be; a bad configuration changes nothing.
    fn take(&mut self, anew: &Anew) {
        let (live, fixed): (Vec<_>, Vec<_>) =
            anew.changed.iter().partition(|name| LIVE.contains(&name.as_str()));
        if let Err(why) = self.apply(anew, &live) {
            return anew::refuse(&why);
        }
        for name in &live {
            self.in_force.take(name, &anew.words);
        }
        if !fixed.is_empty() {
            tracing::warn!("reload: {} only at a restart of the service", anew::list(fixed, "takes", "take"));
        } else if live.is_empty() {
            tracing::info!("reload: no setting differs");
        }
    }

    fn apply(&mut self, anew: &Anew, live: &[&String]) -> Result<(), String> {
        if live.iter().any(|name| *name == "log") {
            self.house.log.change(&anew.args.log)?;
            tracing::info!("reload: the log filter is {}", anew.args.log);
        }
        if self.is_resized || live.iter().any(|name| is_of_pools(name)) {
            self.is_resized = false;
            self.args.database.database_max_conn = anew.args.database.database_max_conn;
            self.give(anew.checked.plan);
            tracing::info!("reload: {}", self.plan.sum());
        }
        Ok(())
    }

    /// Puts a plan in force.
    fn give(&mut self, plan: Plan) {
        self.plan = plan;
        for (worker, size) in (0..).zip(&self.sizes) {
            size.send_replace(plan.size(worker));
        }
        self.desk.note(&self.args, &plan);
    }
}
