//! `plimsoll serve`: puts the house together, keeps it, and takes it apart.
//!
//! [`run`] checks every setting before anything is touched; [`house`] opens the database and starts the workers; [`banner`]
//! says what runs.
//!
//! **Invariant:** the private PostgreSQL is started before the workers and stopped after them.

use crate::config::database::Target;
use crate::config::report::WorkedOut;
use crate::config::{self, Parsed, ServeArgs, SettingsError};
use crate::database::plan::{Plan, PlanInput};
use crate::database::{Config, embedded, target};
use crate::exit::Exit;
use crate::logging;
use crate::server::{Listeners, Reserve, socket};

use super::{fail, print};

mod banner;
mod contact;
mod house;
mod private;
mod room;
mod signals;

/// Settings that were found to go together.
struct Checked {
    plan: Plan,
    workers: u32,
    /// The database that was named; none stands for the private one.
    given: Option<Config>,
}

/// Serves until told to stop.
pub(crate) fn run(args: &ServeArgs, parsed: &Parsed) -> Exit {
    let checked = match check(args) {
        Ok(checked) => checked,
        Err(error) => return fail(Exit::Settings, error),
    };
    let log = match logging::filter() {
        Ok(log) => log,
        Err(why) => return fail(Exit::Settings, why),
    };
    if args.show_config {
        print(config::report::show(parsed, &worked_out(args, &checked)));
        return Exit::Done;
    }
    logging::install(log);
    let (before, descriptors) = socket::raise_descriptor_limit();
    let listeners = match Listeners::open(&args.listen.addresses(), checked.workers as usize) {
        Ok(listeners) => listeners,
        Err(error) => return fail(Exit::System, error),
    };
    let reserve = Reserve {
        workers: checked.workers,
        listeners: listeners.count(),
        database_connections: checked.plan.connections_total(),
    };
    let room = match room::Room::of(before, descriptors, reserve, args.limits.max_connections) {
        Ok(room) => room,
        Err(error) => return fail(Exit::Settings, error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default());
    match runtime {
        Ok(runtime) => runtime.block_on(house::live(args, checked, listeners, room)),
        Err(error) => fail(Exit::System, format_args!("no event loop can be made: {error}")),
    }
}

/// Refuses what cannot work, before anything is touched.
fn check(args: &ServeArgs) -> Result<Checked, SettingsError> {
    args.limits.check()?;
    let target = args.database.target()?;
    let cores = config::workers::usable_cores();
    let workers = args.workers.count(cores);
    let plan = Plan::new(PlanInput {
        cores,
        workers,
        pool_per_core: args.database.pool_per_core,
        upper_bound: args.database.database_max_conn,
    });
    let plan = plan.map_err(|error| SettingsError::new(error.to_string()))?;
    let given = target::configuration(&target)?;
    debug_assert_eq!(given.is_none(), target == Target::Private);
    Ok(Checked { plan, workers: workers.get(), given })
}

/// What `--show-config` shows for settings whose default is worked out at start.
fn worked_out(args: &ServeArgs, checked: &Checked) -> Vec<WorkedOut> {
    let by_default = |name, value| WorkedOut { name, value, variable: None };
    let addresses = args.listen.addresses();
    let mut shown = vec![
        by_default("listen", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        by_default("workers", checked.workers.to_string()),
    ];
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
