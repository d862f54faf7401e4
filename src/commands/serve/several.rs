//! Several processes: this one is their supervisor, and serves no connection itself.
//!
//! **Invariant:** children are kept whatever else is waited for: PostgreSQL's first answer, or its word on a reload.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use tokio::sync::mpsc;

use super::anew::{self, Anew};
use super::contact::{self, Refused};
use super::desk::Desk;
use super::fail;
use super::house::{Ground, House};
use super::makings::Makings;
use super::resize::{self, Judged};
use super::signals::{Heard, Signals};
use crate::config::ServeArgs;
use crate::config::words::Words;
use crate::database::plan::Plan;
use crate::database::probe::Facts;
use crate::database::{Config, Reach, proclaim};
use crate::exit::Exit;
use crate::server::{Listeners, Stop};
use crate::supervisor::{Event, Launch, Supervisor};
use crate::telemetry::admin::{Change, Doors, Ground as Whom};

/// Settings that hold for as long as the supervisor lives: what it opened, what it started, and how many it keeps.
const FIXED: [&str; 11] = [
    "host",
    "port",
    "listen",
    "processes",
    "workers",
    "accept",
    "data-dir",
    "pg-bin",
    "private-pg-tcp",
    "admin",
    "admin-socket",
];

/// Serves until told to stop.
pub(super) async fn serve(
    house: &House<'_>,
    ground: &Ground<'_>,
    (listeners, doors): (Listeners, Doors),
    signals: &mut Signals,
) -> Exit {
    let addresses = listeners.addresses().to_vec();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            return fail(Exit::System, format_args!("the path of this program cannot be learnt: {error}"));
        }
    };
    let makings =
        Makings { house, program, private: house.checked.given.is_none().then_some(ground.place.config) };
    let launch = match makings.launch(house.words(), &house.checked.plan, house.args) {
        Ok(launch) => launch,
        Err(error) => return fail(Exit::Settings, error),
    };
    let shown = doors.describe();
    // No more than there are processes, and those that replace them.
    let (newcomers, crew) = mpsc::unbounded_channel();
    let mut desk = match Desk::open(house, &addresses, ground.place.config, doors, Whom::Several(crew)) {
        Ok(desk) => desk,
        Err(error) => return fail(Exit::System, format_args!("the admin side cannot be started: {error}")),
    };
    let reach = Arc::new(Reach::default());
    tokio::task::spawn_local(proclaim(Arc::clone(&reach), ground.facts.as_ref().err().cloned()));
    let keeper = Keeper {
        makings,
        ground,
        desk: &mut desk,
        supervisor: Supervisor::new(launch, listeners.into_processes(), newcomers, Arc::clone(&reach)),
        reach,
        in_force: house.words(),
        args: Box::new(house.args.clone()),
        plan: house.checked.plan,
        config: ground.place.config.clone(),
        asking: None,
        judging: None,
        pending: None,
        again: false,
    };
    let exit = keeper.keep(&addresses, &shown, signals).await;
    desk.close();
    exit
}

/// A reload that was judged, but for the room that PostgreSQL has for it.
struct Prepared {
    launch: Launch,
    anew: Anew,
    facts: Result<Facts, String>,
}

/// The supervisor with what it takes to serve signals.
struct Keeper<'a> {
    makings: Makings<'a>,
    ground: &'a Ground<'a>,
    desk: &'a mut Desk,
    supervisor: Supervisor,
    /// What the processes say of the database.
    reach: Arc<Reach>,
    in_force: Words,
    args: Box<ServeArgs>,
    plan: Plan,
    /// The database in force.
    config: Config,
    /// A reload for which PostgreSQL is being asked; the processes are kept meanwhile.
    asking: Option<LocalBoxFuture<'a, Prepared>>,
    /// A size of the pools for which it is.
    judging: Option<LocalBoxFuture<'a, Judged>>,
    /// What will be in force when the reload under way has ended well.
    pending: Option<Anew>,
    /// Whether another reload was asked for during one.
    again: bool,
}

impl Keeper<'_> {
    async fn keep(
        mut self,
        addresses: &[std::net::SocketAddr],
        doors: &[(&'static str, String)],
        signals: &mut Signals,
    ) -> Exit {
        let (house, ground) = (self.makings.house, self.ground);
        let (mut exit, mut looks) = (Exit::Done, house.systemd.looks());
        let patience = house.args.database.database_wait;
        let mut first_contact = std::pin::pin!(ground.place.first_contact(patience));
        let mut contacting = ground.facts.is_err();
        loop {
            tokio::select! {
                // Signals first: where a stop is meant for all, children who heard of it too are not replaced.
                biased;
                heard = signals.next() => match heard {
                    Heard::Stop(stop) => {
                        if stop == Stop::Drain {
                            tracing::info!("stopping: answering what is under way; a second signal ends at once");
                        }
                        contacting = false;
                        self.stop(stop);
                    }
                    Heard::Reload => {
                        house.systemd.note_reload();
                        self.reload();
                    }
                },
                event = self.supervisor.next() => match event {
                    Event::Serving(placement) => {
                        house.print_banner(ground, addresses, doors, placement, &self.supervisor.pids());
                    }
                    Event::NeverServed => {
                        exit = never_served(house);
                        contacting = false;
                        self.stop(Stop::Now);
                    }
                    Event::ReloadEnded { whole } => self.end_reload(whole),
                    Event::Ended { well } => {
                        if exit == Exit::Done && !well {
                            exit = Exit::Failed;
                        }
                        break;
                    }
                },
                prepared = anew::answered(&mut self.asking) => {
                    self.asking = None;
                    self.begin_reload(prepared);
                }
                change = self.desk.next_change() => self.judge(change),
                () = looks.next(), if !self.supervisor.is_stopping() => house.systemd.note_look(&self.supervisor.look_at_beats()),
                judged = anew::answered(&mut self.judging) => self.resize(judged),
                contact = &mut first_contact, if contacting => {
                    contacting = false;
                    // By now children may have opened what the plan gives them.
                    let ours = self.plan.connections_total();
                    if let Err(refused) = ground.place.settle(contact, &self.plan, ours, &self.reach) {
                        exit = contact::refuse(refused);
                        self.stop(Stop::Drain);
                    }
                }
            }
            let is_reloading = self.asking.is_some() || self.supervisor.is_reloading() || self.again;
            house.systemd.follow_reload(is_reloading);
        }
        if exit == Exit::Done {
            tracing::info!("stopped");
        }
        exit
    }

    /// Tells all processes to end, and begins nothing any more.
    fn stop(&mut self, stop: Stop) {
        if !self.supervisor.is_stopping() {
            self.makings.house.systemd.note_stop();
        }
        (self.asking, self.judging, self.again) = (None, None, false);
        self.desk.refuse_changes();
        self.supervisor.stop(stop);
    }

    /// Judges another size for the pools.
    fn judge(&mut self, change: Change) {
        if self.supervisor.is_reloading() || self.asking.is_some() || self.judging.is_some() {
            return resize::put_off(change);
        }
        self.judging = resize::judge(self.makings.house, &self.args, &self.plan, self.config.clone(), change);
    }

    /// Takes the size that was judged, if it is found well; the admin side passes it on to the processes that run.
    fn resize(&mut self, judged: Judged) {
        self.judging = None;
        let ours = judged.ours;
        judged.settle(ours, |plan| {
            let launch = self.makings.launch(self.in_force.clone(), plan, &self.args);
            self.supervisor.launch_next_by(launch.map_err(|error| error.to_string())?);
            self.plan = *plan;
            self.desk.note(&self.args, plan);
            Ok(())
        });
        self.follow_up();
    }

    /// Reads and judges the settings anew, and has PostgreSQL asked whether it has room for them.
    fn reload(&mut self) {
        if self.supervisor.is_stopping() {
            return;
        }
        if self.supervisor.is_reloading() || self.asking.is_some() || self.judging.is_some() {
            anew::put_off();
            self.again = true;
            return;
        }
        match self.prepare() {
            Ok((launch, anew)) => {
                let config = anew.checked.given.clone().unwrap_or_else(|| self.config.clone());
                self.asking = Some(Box::pin(async move {
                    let facts = contact::look(&config).await;
                    Prepared { launch, anew, facts }
                }));
            }
            Err(why) => anew::refuse(&why),
        }
    }

    fn prepare(&self) -> Result<(Launch, Anew), String> {
        let anew = anew::read(self.makings.house, &self.in_force)?;
        let fixed: Vec<&String> = anew.changed.iter().filter(|name| FIXED.contains(&name.as_str())).collect();
        if !fixed.is_empty() {
            return Err(format!("{} only at a restart of the service", anew::list(fixed, "takes", "take")));
        }
        if anew.checked.given.is_some() && self.makings.private.is_some() {
            let why = "a database is named now, and the private PostgreSQL is left only at a restart of the service";
            return Err(why.into());
        }
        let launch = self.makings.launch(anew.words.clone(), &anew.checked.plan, &anew.args);
        Ok((launch.map_err(|error| error.to_string())?, anew))
    }

    /// Begins to replace the processes, if PostgreSQL has room or cannot be asked.
    fn begin_reload(&mut self, prepared: Prepared) {
        let Prepared { launch, anew, facts } = prepared;
        let goes_elsewhere =
            anew.checked.given.as_ref().is_some_and(|given| !is_of_one_server(given, &self.config));
        let ours = if goes_elsewhere { 0 } else { self.plan.connections_total() };
        if let Ok(facts) = facts
            && let Err(Refused::NoRoom(why) | Refused::Unreached(why)) =
                contact::check(&anew.checked.plan, &facts, ours)
        {
            anew::refuse(&why);
            return self.follow_up();
        }
        tracing::info!("reload: replacing one process after the other; {}", anew.checked.plan.sum());
        self.supervisor.begin_reload(launch);
        self.pending = Some(anew);
    }

    fn end_reload(&mut self, whole: bool) {
        if let Some(anew) = self.pending.take().filter(|_| whole) {
            if let Err(why) = self.makings.house.log.change(&anew.args.log) {
                tracing::error!("reload: the supervisor's own log filter stays: {why}");
            }
            self.desk.note(&anew.args, &anew.checked.plan);
            if let Some(config) = anew.checked.given {
                self.desk.note_database(&config);
                self.config = config;
            }
            (self.in_force, self.plan, self.args) = (anew.words, anew.checked.plan, anew.args);
        }
        self.follow_up();
    }

    /// Begins the reload that was asked for during one.
    fn follow_up(&mut self) {
        if std::mem::take(&mut self.again) {
            self.reload();
        }
    }
}

/// Whether both lead to one PostgreSQL, whichever of its databases they name.
fn is_of_one_server(one: &Config, other: &Config) -> bool {
    let places = |config: &Config| {
        (config.get_hosts().to_vec(), config.get_hostaddrs().to_vec(), config.get_ports().to_vec())
    };
    places(one) == places(other)
}

/// Says that the start ends without a process that serves.
fn never_served(house: &House<'_>) -> Exit {
    let processes = house.checked.topology.processes;
    let why = format_args!(
        "none of the {processes} processes came to serve; the lines above say how each of them ended, or that it was silent. \
         `--processes 1` starts without them and says more"
    );
    fail(Exit::System, why)
}
