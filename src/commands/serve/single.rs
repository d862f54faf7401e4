//! One process: its workers are threads of this one.
//!
//! **Invariant:** a worker that ends without being asked ends the service, and the others get their drain.

use std::sync::Arc;

use tokio::sync::watch;

use super::anew::{self, Anew};
use super::contact::{self, Refused};
use super::fail;
use super::house::{Ground, House};
use super::room::Room;
use super::signals::{Heard, Signals};
use crate::config::ServeArgs;
use crate::config::words::Words;
use crate::database::{Config, PoolSettings, Reach};
use crate::exit::Exit;
use crate::server::{Capacity, Listeners, Server, Settings, Stop, ThreadEnd};

/// Settings that a running process takes anew.
const LIVE: [&str; 3] = ["log", "pool-per-core", "database-max-conn"];

/// Makes the settings of a process's workers, and what changes the sizes of their pools; `share` gives each its part.
pub(super) fn settings(
    args: &ServeArgs,
    workers: u32,
    share: impl Fn(u32) -> u32,
    config: &Config,
    room: Room,
    reach: &Arc<Reach>,
) -> (Settings, Vec<watch::Sender<u32>>) {
    let (sizes, pools) = (0..workers)
        .map(|worker| {
            let (change, max_size) = watch::channel(share(worker));
            let pool = PoolSettings {
                config: config.clone(),
                max_size,
                wait: args.limits.request_deadline,
                driver: args.database.driver,
                statements: args.database.statements,
            };
            (change, pool)
        })
        .unzip();
    let settings = Settings {
        workers: args.workers.clone(),
        limits: args.limits.clone(),
        capacity: Capacity::new(room.connections, args.limits.when_full),
        dispatch: args.database.dispatch,
        lab: args.lab.clone(),
        pools,
        reach: Arc::clone(reach),
    };
    (settings, sizes)
}

/// Serves until told to stop.
pub(super) async fn serve(
    house: &House<'_>,
    ground: &Ground<'_>,
    listeners: Listeners,
    signals: &mut Signals,
) -> Exit {
    let (plan, topology) = (&house.checked.plan, house.checked.topology);
    let reach = Arc::new(Reach::default());
    let addresses = listeners.addresses().to_vec();
    let (settings, sizes) = settings(
        house.args,
        topology.workers.get(),
        |worker| plan.share(worker),
        ground.place.config,
        house.room,
        &reach,
    );
    let mut server = match Server::start(listeners.into_processes().flatten().collect(), settings) {
        Ok(server) => server,
        Err(error) => {
            return fail(Exit::System, format_args!("a worker's thread cannot be started: {error}"));
        }
    };
    house.print_banner(ground, &addresses, server.placement(), &[]);
    if let Err(why) = &ground.facts {
        reach.note_lost(why);
    }
    let wait = async {
        if ground.facts.is_ok() {
            std::future::pending::<()>().await;
        }
        let patience = house.args.database.database_wait;
        ground.place.first_contact(plan, || reach.open(), patience).await?;
        reach.reached();
        Ok::<(), Refused>(())
    };
    let live = Live { house, ground, reach: &reach, sizes, in_force: house.words() };
    let exit = keep(&mut server, wait, signals, live).await;
    finish(server, signals, exit).await
}

/// Waits for a reason to stop.
async fn keep(
    server: &mut Server,
    first_contact: impl Future<Output = Result<(), Refused>>,
    signals: &mut Signals,
    mut live: Live<'_>,
) -> Exit {
    let mut first_contact = std::pin::pin!(first_contact);
    let mut contacting = true;
    loop {
        tokio::select! {
            heard = signals.next() => match heard {
                Heard::Stop(stop) => {
                    if stop == Stop::Drain {
                        tracing::info!("stopping: answering what is under way; a second signal ends at once");
                    }
                    server.stop(stop);
                    return Exit::Done;
                }
                Heard::Reload => live.reload().await,
            },
            end = server.next_end() => {
                report(end);
                server.stop(Stop::Drain);
                return Exit::Failed;
            }
            contact = &mut first_contact, if contacting => {
                contacting = false;
                if let Err(refused) = contact {
                    server.stop(Stop::Drain);
                    return contact::refuse(refused);
                }
            }
        }
    }
}

/// Waits until all workers have ended; another signal ends them at once.
pub(super) async fn finish(mut server: Server, signals: &mut Signals, mut exit: Exit) -> Exit {
    loop {
        tokio::select! {
            end = server.next_end() => match end {
                Some(end) if end.failure.is_some() => {
                    report(Some(end));
                    exit = Exit::Failed;
                }
                Some(_) => {}
                None => break,
            },
            stop = signals.next_stop() => server.stop(stop),
        }
    }
    server.join();
    if exit == Exit::Done {
        tracing::info!("stopped");
    }
    exit
}

/// Says that a thread of the server ended.
pub(super) fn report(end: Option<ThreadEnd>) {
    if let Some(end) = end {
        let why = end.failure.unwrap_or_else(|| "it ended without being asked".into());
        tracing::error!("{} is gone: {why}; stopping", end.thread);
    }
}

/// What a running process can take anew.
struct Live<'a> {
    house: &'a House<'a>,
    ground: &'a Ground<'a>,
    reach: &'a Reach,
    sizes: Vec<watch::Sender<u32>>,
    in_force: Words,
}

impl Live<'_> {
    /// Takes anew what can be; a bad configuration changes nothing.
    async fn reload(&mut self) {
        let anew = match anew::read(self.house, &self.in_force) {
            Ok(anew) => anew,
            Err(why) => return anew::refuse(&why),
        };
        let (live, fixed): (Vec<_>, Vec<_>) =
            anew.changed.iter().partition(|name| LIVE.contains(&name.as_str()));
        if live.iter().any(|name| *name != "log")
            && let Ok(facts) = contact::look(self.ground.place.config).await
            && let Err(Refused::NoRoom(why) | Refused::Unreached(why)) =
                contact::check(&anew.checked.plan, &facts, self.reach.open())
        {
            return anew::refuse(&why);
        }
        if let Err(why) = self.apply(&anew, &live) {
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

    fn apply(&self, anew: &Anew, live: &[&String]) -> Result<(), String> {
        if live.iter().any(|name| *name == "log") {
            self.house.log.change(&anew.args.log)?;
            tracing::info!("reload: the log filter is {}", anew.args.log);
        }
        if live.iter().any(|name| *name != "log") {
            for (worker, size) in (0..).zip(&self.sizes) {
                size.send_replace(anew.checked.plan.share(worker));
            }
            tracing::info!("reload: {}", anew.checked.plan.sum());
        }
        Ok(())
    }
}
