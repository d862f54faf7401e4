//! One process: its workers are threads of this one.
//!
//! **Invariant:** a thread that ends without being asked, and is not started again as a worker is, ends the service, and the workers get their
//! drain.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::anew;
use super::contact::{self, Refused};
use super::desk::Desk;
use super::fail;
use super::house::{Ground, House};
use super::inside::{self, Inside};
use super::live::Live;
use super::room::Room;
use super::signals::{Heard, Signals};
use crate::config::ServeArgs;
use crate::database::probe::Facts;
use crate::database::replicas::{self, Fleet};
use crate::database::{Config, PoolSettings, PoolSize, Reach, proclaim};
use crate::exit::Exit;
use crate::server::{Capacity, Listeners, Server, Settings, Stop, ThreadEnd, end_patience};
use crate::telemetry::admin::{Doors, Ground as Whom};

/// Makes the settings of a process's workers, and what changes the sizes of their pools; `share` gives each its part.
pub(super) fn settings(
    args: &ServeArgs,
    workers: u32,
    share: impl Fn(u32) -> PoolSize,
    config: &Config,
    room: Room,
    reach: &Arc<Reach>,
    reads: Option<&Arc<Fleet>>,
) -> (Settings, Vec<watch::Sender<PoolSize>>) {
    let (sizes, pools) = (0..workers)
        .map(|worker| {
            let (change, size) = watch::channel(share(worker));
            let pool = PoolSettings {
                config: config.clone(),
                size,
                wait: args.limits.request_deadline,
                max_waiting: args.database.max_waiting,
                driver: args.database.driver,
                statements: args.database.statements,
                max_age: args.database.reads.max_age(),
                reads: reads.cloned(),
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
        listeners_are_lent: args.child.lent_listeners,
        // Of several processes all may be closing theirs at the same time.
        end_patience: end_patience(u64::from(args.workers.processes).saturating_mul(room.connections as u64)),
        pools,
        reach: Arc::clone(reach),
    };
    (settings, sizes)
}

/// How long the first answers of replicas may hold up the workers.
const FIRST_LOOK_AT_REPLICAS: Duration = Duration::from_secs(2);

/// Begins to watch the replicas, if there are any, and waits for what they answer first.
pub(super) async fn begin_to_watch(
    args: &ServeArgs,
    reads: Option<Config>,
    primary: &Config,
) -> Option<Arc<Fleet>> {
    let settings = &args.database.reads;
    let fleet = Fleet::new(reads?, primary.clone(), settings.max_lag(), settings.are_for_replicas_only());
    tokio::task::spawn_local(replicas::watch(Arc::clone(&fleet)));
    tokio::task::spawn_local(Arc::clone(&fleet).proclaim());
    fleet.until_begun(FIRST_LOOK_AT_REPLICAS).await;
    Some(fleet)
}

/// Serves until told to stop.
pub(super) async fn serve(
    house: &House<'_>,
    ground: &Ground<'_>,
    (listeners, doors): (Listeners, Doors),
    signals: &mut Signals,
) -> Exit {
    let (plan, topology) = (&house.checked.plan, house.checked.topology);
    let reach = Arc::new(Reach::default());
    let addresses = listeners.addresses().to_vec();
    let reads = begin_to_watch(house.args, house.checked.reads.clone(), ground.place.config).await;
    let (settings, sizes) = settings(
        house.args,
        topology.workers.get(),
        |worker| plan.size(worker),
        ground.place.config,
        house.room,
        &reach,
        reads.as_ref(),
    );
    let mut server = match Server::start(listeners.into_processes().flatten().collect(), settings) {
        Ok(server) => server,
        Err(error) => {
            return fail(Exit::System, format_args!("the workers cannot be started: {error}"));
        }
    };
    let seat = inside::Seat { index: 0, first_worker: 0, workers: topology.workers };
    let inside = Inside::of(&server, seat, house.room, (Arc::clone(&reach), reads), sizes.clone());
    let shown = doors.describe();
    let mut desk = match Desk::open(house, &addresses, ground.place.config, doors, Whom::One(inside)) {
        Ok(desk) => desk,
        Err(error) => return fail(Exit::System, format_args!("the admin side cannot be started: {error}")),
    };
    house.print_banner(ground, &addresses, &shown, server.placement(), &[]);
    tokio::task::spawn_local(proclaim(Arc::clone(&reach), ground.facts.as_ref().err().cloned()));
    let wait = async {
        if ground.facts.is_ok() {
            std::future::pending::<()>().await;
        }
        ground.place.first_contact(house.args.database.database_wait).await
    };
    let live = Live::of(house, ground, &mut desk, &reach, sizes);
    let exit = keep(&mut server, wait, signals, live).await;
    house.systemd.note_stop();
    desk.refuse_changes();
    let exit = finish(server, signals, exit).await;
    desk.close();
    exit
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
    let systemd = &live.house.systemd;
    let (heartbeat, mut looks) = (server.heartbeat(), systemd.looks());
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
                Heard::Reload => {
                    systemd.note_reload();
                    live.reload();
                }
            },
            answer = anew::answered(&mut live.asking) => live.go_on(answer),
            change = live.desk.next_change() => live.judge(change),
            judged = anew::answered(&mut live.judging) => live.resize(judged),
            () = looks.next() => systemd.note_look(&heartbeat.look()),
            end = server.next_end() => {
                report(end);
                server.stop(Stop::Drain);
                return Exit::Failed;
            }
            contact = &mut first_contact, if contacting => {
                contacting = false;
                let (place, ours) = (&live.ground.place, live.reach.open());
                if let Err(refused) = place.settle(contact, &live.plan, ours, live.reach) {
                    server.stop(Stop::Drain);
                    return contact::refuse(refused);
                }
            }
        }
        systemd.follow_reload(live.is_reloading());
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
    let exit = end(server, exit);
    if exit == Exit::Done {
        tracing::info!("stopped");
    }
    exit
}

/// The server's last: its threads have ended, or hang and are left behind, which is a failure.
pub(super) fn end(server: Server, exit: Exit) -> Exit {
    let hung = server.join();
    if hung.is_empty() {
        return exit;
    }
    tracing::error!(
        "{} did not end within the drain deadline (--drain-deadline), nor in the time beyond it: it hangs. The process ends without it, \
         and its connections with the process",
        hung.join(", ")
    );
    if exit == Exit::Done { Exit::Failed } else { exit }
}

/// Says that a thread of the server ended.
pub(super) fn report(end: Option<ThreadEnd>) {
    if let Some(end) = end {
        let why = end.failure.unwrap_or_else(|| "it ended without being asked".into());
        tracing::error!("{} is gone: {why}; stopping", end.thread);
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
                None,
            );
            // A file is nothing that an event loop could watch.
            let file = TcpListener::from(OwnedFd::from(tempfile::tempfile().unwrap()));
            let listeners = vec![TcpListener::bind("127.0.0.1:0").unwrap(), file];
            let why = Server::start(listeners, settings).err().unwrap().to_string();
            assert!(why.starts_with(&format!("{thread}: its listener cannot be watched")), "{why}");
        }
    }
}
