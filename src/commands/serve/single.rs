//! One process: its workers are threads of this one.
//!
//! **Invariant:** a worker that ends without being asked ends the service, and the others get their drain.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use tokio::sync::watch;

use super::anew::{self, Anew};
use super::contact::{self, Refused};
use super::fail;
use super::house::{Ground, House};
use super::room::Room;
use super::signals::{Heard, Signals};
use crate::config::ServeArgs;
use crate::config::words::Words;
use crate::database::plan::Plan;
use crate::database::probe::Facts;
use crate::database::{Config, PoolSettings, PoolSize, Reach};
use crate::exit::Exit;
use crate::server::{Capacity, Listeners, Server, Settings, Stop, ThreadEnd};

/// Settings that a running process takes anew.
const LIVE: [&str; 4] = ["log", "pool-per-core", "pool-bounds", "database-max-conn"];

/// Makes the settings of a process's workers, and what changes the sizes of their pools; `share` gives each its part.
pub(super) fn settings(
    args: &ServeArgs,
    workers: u32,
    share: impl Fn(u32) -> PoolSize,
    config: &Config,
    room: Room,
    reach: &Arc<Reach>,
) -> (Settings, Vec<watch::Sender<PoolSize>>) {
    let (sizes, pools) = (0..workers)
        .map(|worker| {
            let (change, size) = watch::channel(share(worker));
            let pool = PoolSettings {
                config: config.clone(),
                size,
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
        |worker| plan.size(worker),
        ground.place.config,
        house.room,
        &reach,
    );
    let mut server = match Server::start(listeners.into_processes().flatten().collect(), settings) {
        Ok(server) => server,
        Err(error) => {
            return fail(Exit::System, format_args!("the workers cannot be started: {error}"));
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
        ground.place.first_contact(house.args.database.database_wait).await
    };
    let in_force = house.words();
    let live =
        Live { house, ground, reach: &reach, sizes, in_force, plan: *plan, asking: None, again: false };
    let exit = keep(&mut server, wait, signals, live).await;
    finish(server, signals, exit).await
}

/// Waits for a reason to stop.
async fn keep(
    server: &mut Server,
    first_contact: impl Future<Output = Result<Facts, Refused>>,
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
                Heard::Reload => live.reload(),
            },
            answer = anew::answered(&mut live.asking) => live.go_on(answer),
            end = server.next_end() => {
                report(end);
                server.stop(Stop::Drain);
                return Exit::Failed;
            }
            contact = &mut first_contact, if contacting => {
                contacting = false;
                if let Err(refused) = live.ground.place.settle(contact, &live.plan, live.reach.open()) {
                    server.stop(Stop::Drain);
                    return contact::refuse(refused);
                }
                live.reach.reached();
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

/// Whether a setting bears on the sizes of the pools.
fn is_of_pools(name: &str) -> bool {
    name != "log" && LIVE.contains(&name)
}

/// What a running process can take anew.
struct Live<'a> {
    house: &'a House<'a>,
    ground: &'a Ground<'a>,
    reach: &'a Reach,
    sizes: Vec<watch::Sender<PoolSize>>,
    in_force: Words,
    plan: Plan,
    /// A reload for which PostgreSQL is being asked; signals are heard meanwhile.
    asking: Option<LocalBoxFuture<'a, (Anew, Result<Facts, String>)>>,
    /// Whether another reload was asked for during one.
    again: bool,
}

impl Live<'_> {
    /// Reads the settings anew, and has PostgreSQL asked where the pools' sizes differ.
    fn reload(&mut self) {
        if self.asking.is_some() {
            anew::put_off();
            self.again = true;
            return;
        }
        match anew::read(self.house, &self.in_force) {
            Ok(anew) if anew.changed.iter().any(|name| is_of_pools(name)) => {
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

    /// Goes on with a reload when PostgreSQL has said what room it has, or cannot be asked.
    fn go_on(&mut self, (anew, facts): (Anew, Result<Facts, String>)) {
        self.asking = None;
        if let Ok(facts) = facts
            && let Err(Refused::NoRoom(why) | Refused::Unreached(why)) =
                contact::check(&anew.checked.plan, &facts, self.reach.open())
        {
            anew::refuse(&why);
        } else {
            self.take(&anew);
        }
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
        if live.iter().any(|name| is_of_pools(name)) {
            self.plan = anew.checked.plan;
            for (worker, size) in (0..).zip(&self.sizes) {
                size.send_replace(anew.checked.plan.size(worker));
            }
            tracing::info!("reload: {}", anew.checked.plan.sum());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;

    use clap::Parser as _;

    use super::super::room::Seat;
    use super::*;
    use crate::config::workers::usable_cores;

    #[derive(clap::Parser)]
    struct Given {
        #[command(flatten)]
        serve: ServeArgs,
    }

    #[test]
    fn a_start_fails_where_a_thread_cannot_begin_and_says_which_and_why() {
        for (accept, thread) in [("reuseport", "worker 1"), ("handoff", "acceptor")] {
            let args = Given::parse_from(["serve", "--workers", "2", "--accept", accept]).serve;
            let seat = Seat { index: 0, database_connections: 2 };
            let room = Room::of_process(&args, args.workers.topology(usable_cores()), seat, (None, None));
            let config: Config = "host=127.0.0.1 port=1 user=nobody".parse().unwrap();
            let (settings, _) = settings(
                &args,
                2,
                |_| PoolSize { least: 1, most: 1 },
                &config,
                room.unwrap(),
                &Arc::default(),
            );
            // A file is nothing that an event loop could watch.
            let file = TcpListener::from(OwnedFd::from(tempfile::tempfile().unwrap()));
            let listeners = vec![TcpListener::bind("127.0.0.1:0").unwrap(), file];
            let why = Server::start(listeners, settings).err().unwrap().to_string();
            assert!(why.starts_with(&format!("{thread}: its listener cannot be watched")), "{why}");
        }
    }
}
