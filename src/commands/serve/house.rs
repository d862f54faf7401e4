//! The life of the service: start, serve, stop.
//!
//! **Invariant:** whatever ends the service, workers end before the private PostgreSQL does, and nothing is left running.

use std::sync::Arc;
use std::time::Duration;

use super::banner;
use super::contact::{self, Refused};
use super::private::{self, Private};
use super::room::Room;
use super::signals::Signals;
use super::{Checked, fail};
use crate::config::ServeArgs;
use crate::database::probe::{self, Facts};
use crate::database::{Config, PoolSettings, Reach, target};
use crate::exit::Exit;
use crate::server::{Capacity, Listeners, Server, Settings, Stop};

/// How long the first contact may hold up the workers; longer, and they serve what needs no database meanwhile.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Starts everything, serves, stops everything.
pub(super) async fn live(args: &ServeArgs, checked: Checked, listeners: Listeners, room: Room) -> Exit {
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return fail(Exit::System, format_args!("signals cannot be heard: {error}")),
    };
    let private = match &checked.given {
        Some(_) => None,
        None => match private::start(&args.database, checked.plan.connections_total(), &mut signals).await {
            Ok(private) => Some(private),
            Err(exit) => return exit,
        },
    };
    let exit = serve(args, &checked, private.as_ref(), listeners, room, &mut signals).await;
    if let Some(private) = private {
        private.stop().await;
    }
    exit
}

async fn serve(
    args: &ServeArgs,
    checked: &Checked,
    private: Option<&Private>,
    listeners: Listeners,
    room: Room,
    signals: &mut Signals,
) -> Exit {
    let Some(config) = checked.given.as_ref().or(private.map(|private| &private.config)) else {
        return fail(Exit::Failed, "no database was chosen");
    };
    let where_it_is = match private {
        Some(private) => format!("private, in {}", private.place),
        None => format!("at {}", target::describe(config)),
    };
    let reach = Arc::new(Reach::default());
    let mut first_look = look(config).await;
    if let Ok(facts) = &first_look
        && contact::check(&checked.plan, facts, &reach).is_err()
    {
        // A predecessor's sessions may be ending just now: after a restart they are gone at the second look.
        tokio::time::sleep(FIRST_LOOK).await;
        first_look = look(config).await;
        if let Ok(facts) = &first_look
            && let Err(refused) = contact::check(&checked.plan, facts, &reach)
        {
            return refuse(refused);
        }
    }
    let addresses = listeners.addresses().to_vec();
    let settings = settings(args, checked, config, room, Arc::clone(&reach));
    let server = match Server::start(listeners, settings) {
        Ok(server) => server,
        Err(error) => {
            return fail(Exit::System, format_args!("a worker's thread cannot be started: {error}"));
        }
    };
    banner::print(args, &checked.plan, checked.workers, server.placement(), &addresses, room);
    let contacted = match first_look {
        Ok(facts) => {
            banner::line("database", &describe(&facts, &where_it_is));
            true
        }
        Err(why) => {
            reach.note_lost(&why);
            banner::line(
                "database",
                &format!("PostgreSQL {where_it_is} is not reached yet: {why}; trying on"),
            );
            false
        }
    };
    let wait = async {
        if contacted {
            std::future::pending::<()>().await;
        }
        let facts =
            contact::first_contact(config, &checked.plan, &reach, args.database.database_wait).await?;
        reach.reached();
        tracing::info!("first contact: {}", describe(&facts, &where_it_is));
        Ok::<(), Refused>(())
    };
    keep(server, wait, signals).await
}

/// Asks the database once, for no longer than workers may be held up.
async fn look(config: &Config) -> Result<Facts, String> {
    let asked = tokio::time::timeout(FIRST_LOOK, probe::ask(config)).await;
    asked.unwrap_or_else(|_| Err("it has not answered yet".into()))
}

fn describe(facts: &Facts, where_it_is: &str) -> String {
    format!("PostgreSQL {} {where_it_is}", facts.version)
}

fn settings(args: &ServeArgs, checked: &Checked, config: &Config, room: Room, reach: Arc<Reach>) -> Settings {
    let pool = |worker| PoolSettings {
        config: config.clone(),
        max_size: checked.plan.share(worker),
        wait: args.limits.request_deadline,
        driver: args.database.driver,
        statements: args.database.statements,
    };
    Settings {
        workers: args.workers.clone(),
        limits: args.limits.clone(),
        capacity: Capacity::new(room.connections, args.limits.when_full),
        dispatch: args.database.dispatch,
        lab: args.lab.clone(),
        pools: (0..checked.workers).map(pool).collect(),
        reach,
    }
}

/// Waits for a reason to stop, then for the workers.
async fn keep(
    mut server: Server,
    first_contact: impl Future<Output = Result<(), Refused>>,
    signals: &mut Signals,
) -> Exit {
    let mut first_contact = std::pin::pin!(first_contact);
    let mut contacting = true;
    let exit = loop {
        tokio::select! {
            stop = signals.next_stop() => {
                if stop == Stop::Drain {
                    tracing::info!("stopping: answering what is under way; a second signal ends at once");
                }
                server.stop(stop);
                break Exit::Done;
            }
            end = server.next_end() => {
                report(end);
                server.stop(Stop::Drain);
                break Exit::Failed;
            }
            contact = &mut first_contact, if contacting => {
                contacting = false;
                if let Err(refused) = contact {
                    server.stop(Stop::Drain);
                    break refuse(refused);
                }
            }
        }
    };
    finish(server, signals, exit).await
}

/// Waits until all workers have ended; another signal ends them at once.
async fn finish(mut server: Server, signals: &mut Signals, mut exit: Exit) -> Exit {
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

fn report(end: Option<crate::server::WorkerEnd>) {
    if let Some(end) = end {
        let why = end.failure.unwrap_or_else(|| "it ended without being asked".into());
        tracing::error!("worker {} is gone: {why}; stopping", end.worker);
    }
}

fn refuse(refused: Refused) -> Exit {
    match refused {
        Refused::NoRoom(why) => fail(Exit::Settings, why),
        Refused::Unreached(why) => {
            fail(Exit::DatabaseUnreached, format_args!("the database was not reached in time: {why}"))
        }
    }
}
