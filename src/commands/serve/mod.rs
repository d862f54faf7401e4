//! `plimsoll serve`: puts the house together, keeps it, and takes it apart.
//!
//! [`run`] checks every setting before anything is touched; [`house`] opens the database; [`single`] starts the workers and keeps them ([`live`]), or
//! [`several`] the supervisor, whose children enter by [`child`]; [`banner`] says what runs; [`anew`] reads settings for a reload;
//! [`desk`] has the admin side, which asks this process by [`inside`], and [`resize`] judges what it is asked to change; [`systemd`] is the
//! manager that may have started it all.
//!
//! **Invariant:** the private PostgreSQL is started before the workers and stopped after them.

use crate::config::admin::{DEFAULT_ADDRESS, default_socket};
use crate::config::database::{PoolPerCore, Target};
use crate::config::report::WorkedOut;
use crate::config::{self, Parsed, Refusal, ServeArgs, SettingsError, Topology};
use crate::database::plan::{Plan, PlanInput, sides};
use crate::database::{Config, embedded, target};
use crate::exit::Exit;
use crate::logging::Log;
use crate::server::{Listeners, socket};
use crate::telemetry::panics;

use super::{fail, print};
use systemd::{Inherited, Systemd};

mod anew;
mod banner;
mod child;
mod contact;
mod desk;
mod house;
mod inside;
mod live;
mod makings;
pub(super) mod private;
mod resize;
mod room;
mod several;
mod signals;
mod single;
mod systemd;

/// Reads the settings of a running service anew.
pub(crate) type Reread<'a> = &'a dyn Fn() -> Result<(Box<ServeArgs>, Parsed), Refusal>;

/// Settings that were found to go together.
struct Checked {
    plan: Plan,
    topology: Topology,
    /// The database that was named; none stands for the private one.
    given: Option<Config>,
    /// The replicas that were named.
    reads: Option<Config>,
}

/// Serves until told to stop.
pub(crate) fn run(args: &ServeArgs, parsed: &Parsed, reread: Reread<'_>) -> Exit {
    if let Some(index) = args.child.process_index {
        return child::run(args, index);
    }
    // First of all: what systemd passes stands in the environment, which only a process without other threads may change.
    let inherited = match Inherited::take() {
        Ok(inherited) => inherited,
        Err(error) => return fail(Exit::System, error),
    };
    let args = &inherited.settle(args);
    let checked = match check(args) {
        Ok(checked) => checked,
        Err(error) => return fail(Exit::Settings, error),
    };
    if args.show_config {
        print(config::report::show(parsed, &worked_out(args, &checked)));
        return Exit::Done;
    }
    let log = match Log::install(&args.log, None) {
        Ok(log) => log,
        Err(why) => return fail(Exit::Settings, why),
    };
    panics::install_hook();
    if args.child.end_with_input
        && let Err(error) = signals::quit_with_input()
    {
        return fail(Exit::System, format_args!("standard input cannot be watched: {error}"));
    }
    let descriptors = socket::raise_descriptor_limit();
    let room = match room(args, &checked, descriptors) {
        Ok(room) => room,
        Err(error) => return fail(Exit::Settings, error),
    };
    let listeners = match inherited.listeners() {
        Some(inherited) => Listeners::adopt(inherited, checked.topology),
        None => Listeners::open(&args.listen.addresses(), checked.topology),
    };
    let listeners = match listeners {
        Ok(listeners) => listeners,
        Err(error) => return fail(Exit::System, error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default());
    let systemd = Systemd::from_environment();
    let house = house::House { args, parsed, reread, checked, log, descriptors, room, systemd };
    match runtime {
        Ok(runtime) => runtime.block_on(house::live(house, listeners)),
        Err(error) => fail(Exit::System, format_args!("no event loop can be made: {error}")),
    }
}

/// Refuses what cannot work, before anything is touched.
fn check(args: &ServeArgs) -> Result<Checked, SettingsError> {
    args.limits.check()?;
    let target = args.database.target()?;
    let cores = config::workers::usable_cores();
    let topology = args.workers.topology(cores);
    let (least_per_core, pool_per_core) = match args.database.pool_per_core {
        PoolPerCore::Fixed(number) => (number, number),
        PoolPerCore::Auto => (args.database.pool_bounds.least, args.database.pool_bounds.most),
    };
    let plan = Plan::new(PlanInput {
        cores,
        workers: topology.workers_total(),
        processes: topology.processes,
        pool_per_core,
        least_per_core,
        upper_bound: args.database.database_max_conn,
    });
    let plan = plan.map_err(|error| SettingsError::new(error.to_string()))?;
    let given = target::configuration(&target)?;
    debug_assert_eq!(given.is_none(), target == Target::Private);
    let reads = reads(args)?;
    let plan = if reads.is_some() { plan.with_replicas() } else { plan };
    Ok(Checked { plan, topology, given, reads })
}

/// Where rows are read, if not where they are written.
fn reads(args: &ServeArgs) -> Result<Option<Config>, SettingsError> {
    match args.database.reads.target()? {
        Some(target) => target::of_reads(&target),
        None => Ok(None),
    }
}

/// The room for connections in the largest process, which is the first.
fn room(
    args: &ServeArgs,
    checked: &Checked,
    descriptors: (Option<u64>, Option<u64>),
) -> Result<room::Room, SettingsError> {
    let connections =
        sides::of_process(checked.plan.connections_of_largest_process(), checked.reads.as_ref());
    let seat = room::Seat { index: 0, database_connections: connections };
    room::Room::of_process(args, checked.topology, seat, descriptors)
}

/// What `--show-config` shows for settings whose default is worked out at start.
fn worked_out(args: &ServeArgs, checked: &Checked) -> Vec<WorkedOut> {
    let by_default = |name, value| WorkedOut { name, value, variable: None };
    let addresses = args.listen.addresses();
    let mut shown = vec![
        by_default("listen", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        by_default("workers", checked.topology.workers.to_string()),
    ];
    shown.extend(args.database.reads.worked_out().map(|(name, value)| by_default(name, value)));
    shown.push(by_default("admin", DEFAULT_ADDRESS.to_string()));
    let port = addresses.first().map_or(args.listen.port, std::net::SocketAddr::port);
    shown.push(by_default("admin-socket", default_socket(port).display().to_string()));
    if let Some(config) = &checked.given {
        let variable = std::env::var_os("PGSERVICE").filter(|name| !name.is_empty());
        let variable = if variable.is_some() { "PGSERVICE" } else { "PGHOST" };
        let value = target::describe(config);
        shown.push(WorkedOut { name: "database-url", value, variable: Some(variable) });
    } else {
        shown.push(by_default("database-url", "a private PostgreSQL".into()));
        shown.push(by_default("data-dir", embedded::default_data_dir().display().to_string()));
    }
    shown
}
