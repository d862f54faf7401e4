//! One of several processes: it serves on listeners that the supervisor passes on, and ends when it is told to, or alone.
//!
//! **Invariant:** only an order of the supervisor, or its end, closes a listener for good; whoever else asks for a stop makes this
//! process ask the supervisor, and leave its listeners to the next one where no answer comes.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::inside::{self, Inside};
use super::room::{Room, Seat};
use super::signals::Signals;
use super::{fail, single};
use crate::config::workers::usable_cores;
use crate::config::{ServeArgs, SettingsError};
use crate::database::plan::sides;
use crate::database::replicas::Fleet;
use crate::database::{Config, News, PoolSize, Reach, target};
use crate::exit::Exit;
use crate::logging::Log;
use crate::server::{Server, Settings, Stop, socket};
use crate::supervisor::{Order, Received, Report, Superior, receive};
use crate::telemetry::channel::Post;
use crate::telemetry::panics;

/// How long the supervisor may take to say what a signal to this process means: that it retires, or that all are stopping.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// Serves as the process with this index.
pub(super) fn run(args: &ServeArgs, index: u32) -> Exit {
    if let Err(why) = Log::install(&args.log, Some(index)) {
        return fail(Exit::Settings, why);
    }
    panics::install_hook();
    let descriptors = socket::raise_descriptor_limit();
    let channel = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let received = channel.and_then(|channel| receive(&channel).map(|found| (channel, found)));
    let (channel, Received { listeners, answers }) = match received {
        Ok(received) => received,
        Err(error) => {
            return fail(
                Exit::System,
                format_args!("process {index} has no listeners from a supervisor: {error}"),
            );
        }
    };
    let databases = match databases(args) {
        Ok(databases) => databases,
        Err(error) => return fail(Exit::Settings, error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default());
    let live = async {
        let mut signals = Signals::install()?;
        let superior = Superior::new(channel)?;
        let reads = single::begin_to_watch(args, databases.1, &databases.0).await;
        let makings = match makings(args, index, descriptors, &databases.0, reads.as_ref()) {
            Ok(makings) => makings,
            Err(error) => return Ok(fail(Exit::Settings, error)),
        };
        let reach = Arc::clone(&makings.settings.reach);
        let news = reach.news();
        let server = Server::start(listeners, makings.settings)?;
        let inside = Inside::of(&server, makings.seat, makings.room, (reach, reads), makings.sizes);
        let post = Post::start(answers, inside)?;
        superior.report(Report::Ready(server.placement()));
        let exit = keep(server, superior, news, &mut signals).await;
        post.say_farewell();
        Ok::<Exit, std::io::Error>(exit)
    };
    match runtime.and_then(|runtime| runtime.block_on(live)) {
        Ok(exit) => exit,
        Err(error) => fail(Exit::System, format_args!("process {index} cannot be started: {error}")),
    }
}

/// What the server, and its answers to the supervisor, are made from.
struct Makings {
    settings: Settings,
    sizes: Vec<watch::Sender<PoolSize>>,
    room: Room,
    seat: inside::Seat,
}

/// The database that the supervisor names, and the replicas, if there are any.
fn databases(args: &ServeArgs) -> Result<(Config, Option<Config>), SettingsError> {
    let config = target::configuration(&args.database.given()?)?;
    let config = config.ok_or_else(|| SettingsError::new("no database is named in the environment"))?;
    Ok((config, super::reads(args)?))
}

fn makings(
    args: &ServeArgs,
    index: u32,
    descriptors: (Option<u64>, Option<u64>),
    config: &Config,
    reads: Option<&Arc<Fleet>>,
) -> Result<Makings, SettingsError> {
    let topology = args.workers.topology(usable_cores());
    let total = args.child.connections_total.unwrap_or_default();
    let first = index.saturating_mul(topology.workers.get());
    let least = args.child.connections_least.unwrap_or(total);
    let share = |worker| PoolSize::share(least, total, topology.workers_total(), first + worker);
    let connections = (0..topology.workers.get()).map(share).map(|size| size.most).sum();
    let seat =
        Seat { index, database_connections: sides::of_process(connections, super::reads(args)?.as_ref()) };
    let room = Room::of_process(args, topology, seat, descriptors)?;
    let reach = Arc::new(Reach::default());
    let (settings, sizes) =
        single::settings(args, topology.workers.get(), share, config, room, &reach, reads);
    let seat = inside::Seat { index, first_worker: first, workers: topology.workers_total() };
    Ok(Makings { settings, sizes, room, seat })
}

/// Serves until somebody says otherwise.
async fn keep(mut server: Server, mut superior: Superior, mut news: News, signals: &mut Signals) -> Exit {
    let mut exit = Exit::Done;
    let mut is_led = true;
    let mut answer_by = None;
    let heartbeat = server.heartbeat();
    loop {
        tokio::select! {
            order = superior.next_order(), if is_led => match order {
                Some(Order::Retire) => server.stop(Stop::Retire),
                Some(Order::Drain) => server.stop(Stop::Drain),
                Some(Order::End) => server.stop(Stop::Now),
                Some(Order::Beat) => match heartbeat.look()[..] {
                    [] => superior.report(Report::Turning),
                    // The supervisor says it aloud, once.
                    ref still => tracing::debug!("not turning: {}", still.join(", ")),
                },
                None => {
                    is_led = false;
                    tracing::warn!("the supervisor is gone; answering what is under way and ending");
                    server.stop(Stop::Drain);
                }
            },
            word = news.next(), if is_led => superior.report(Report::Database(word)),
            stop = signals.next_stop() => {
                superior.report(Report::Leaving);
                if stop == Stop::Drain {
                    // The whole service may have been told: then nobody comes after this process, and the backlog is its own.
                    answer_by = Some(Instant::now() + ANSWER_PATIENCE);
                } else {
                    server.stop(stop);
                }
            }
            () = tokio::time::sleep_until(answer_by.unwrap_or_else(Instant::now)), if answer_by.is_some() => {
                answer_by = None;
                // Changes nothing where the answer has come.
                server.stop(Stop::Retire);
            }
            end = server.next_end() => match end {
                Some(end) if end.failure.is_some() || !server.is_stopping() => {
                    single::report(Some(end));
                    exit = Exit::Failed;
                    superior.report(Report::Leaving);
                    server.stop(Stop::Retire);
                }
                Some(_) => {}
                None => break,
            },
        }
    }
    single::end(server, exit)
}
