//! `plimsoll doctor`: which limits of this machine stop how many connections, and what mends them.
//!
//! The facts are read and judged in [`crate::kernel`]; here they are asked for, printed ([`text`], [`json`]), written to a
//! file for sysctl(8) ([`sysctl_file`]), put in force and put back ([`change`], with what [`undo`] keeps). What several such machines
//! want of a database is added up in [`nodes`].
//!
//! **Invariant:** the exit code is 0 only where nothing stops the connections asked for and everything asked for was done.

use std::num::NonZeroU32;

use self::nodes::Nodes;
use super::screen::Screen;
use super::{fail, print, say};
use crate::config::doctor::ClientsAt;
use crate::config::{DoctorArgs, SettingsError, workers};
use crate::database::plan::{Plan, PlanInput, Room};
use crate::database::{Config, probe, target};
use crate::exit::Exit;
use crate::kernel::facts::Database;
use crate::kernel::judge::processes::MOST_PROCESSES;
use crate::kernel::judge::{self, Clients, Load, Question, Verdict, judge};
use crate::kernel::read::System;
use crate::server;
use crate::telemetry::admin;

mod change;
mod json;
mod nodes;
mod sysctl_file;
mod text;
mod undo;

/// Reads, judges, does what was asked for, and says it.
pub(crate) fn run(args: &DoctorArgs) -> Exit {
    if let Err(error) = args.check() {
        return fail(Exit::Settings, error);
    }
    let system = System::below(&args.system_root);
    let undo_file = args.undo_file.clone().unwrap_or_else(|| undo::default_path(&system));
    if args.revert {
        return change::revert(&system, &undo_file);
    }
    let question = question(args);
    let mut facts = system.facts();
    let databases = match Databases::of(args) {
        Ok(databases) => databases,
        Err(error) => return fail(Exit::Settings, error),
    };
    facts.database = match ask_database(args, databases.writes.as_ref()) {
        Ok(database) => database,
        Err(error) => return fail(Exit::Settings, error),
    };
    let mut verdict = judge(&facts, &question);
    let nodes = match ask_for_nodes(args, verdict.processes.count, &databases) {
        Ok(nodes) => nodes,
        Err(error) => return fail(Exit::Settings, error),
    };
    let mut done = true;
    if args.apply {
        done = change::apply(&system, &undo_file, &facts, &verdict);
        facts.sysctls = system.facts().sysctls;
        verdict = judge(&facts, &question);
    }
    if let Some(path) = &args.write {
        match sysctl_file::write(path, &question, &verdict) {
            Ok(settings) => say(format_args!("{settings} settings written to {}", path.display())),
            Err(error) => {
                done = false;
                say(format_args!("error: {}: {error}", path.display()));
            }
        }
    }
    if args.json {
        print(json::render(&question, &verdict, nodes.as_ref()));
    } else {
        print(text::render(&question, &verdict, nodes.as_ref(), Screen::of_stdout().colours));
    }
    if done && fits(&verdict, nodes.as_ref()) { Exit::Done } else { Exit::Failed }
}

/// Whether nothing stops what was asked for.
fn fits(verdict: &Verdict, nodes: Option<&Nodes>) -> bool {
    verdict.fits() && nodes.is_none_or(Nodes::fit)
}

/// The question that the settings ask.
fn question(args: &DoctorArgs) -> Question {
    let load = args
        .capacity
        .zip(args.rate)
        .map(|(capacity_per_second, rate_per_second)| Load { capacity_per_second, rate_per_second });
    Question {
        connections: args.connections(load.map(Load::clients_served)),
        clients: match args.clients {
            ClientsAt::Elsewhere => Clients::Elsewhere,
            ClientsAt::Here => Clients::Here,
        },
        processes: args.processes.map(u64::from),
        sources: args.sources.map(u64::from),
        ports: args.ports.into(),
        reserve: reserve(args),
        load,
    }
}

/// What the service keeps back, as it grows with the workers: each has a listener for each port and its share of the plan.
fn reserve(args: &DoctorArgs) -> judge::Reserve {
    // Bounded by the setting's range, 1000 at most.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range by the setting's check"
    )]
    let share = args.pool_per_core.ceil() as u32;
    let of = |workers: u32| {
        let listeners = workers as usize * usize::from(args.ports);
        server::Reserve { workers, listeners, database_connections: workers * share }.descriptors()
    };
    let worker = of(2) - of(1);
    judge::Reserve { process: of(1) - worker + admin::DESCRIPTORS, worker }
}

/// The databases that are named.
struct Databases {
    writes: Option<Config>,
    reads: Option<Config>,
}

impl Databases {
    fn of(args: &DoctorArgs) -> Result<Self, SettingsError> {
        let reads = args.reads()?.map_or(Ok(None), |reads| target::of_reads(&reads))?;
        Ok(Self { writes: target::configuration(&args.target()?)?, reads })
    }
}

/// Asks the database that is named for its room, and the plan for what the service would take of it.
fn ask_database(args: &DoctorArgs, config: Option<&Config>) -> Result<Database, SettingsError> {
    let Some(config) = config else { return Ok(Database::NotNamed) };
    let wanted = connections_wanted(args)?;
    // Takes seconds where nobody answers.
    say(format_args!("asking {} for its room", target::describe(config)));
    Ok(match ask(config) {
        Ok(room) => Database::Room { limit: room.limit.into(), free: room.free().into(), wanted },
        Err(why) => Database::NotReached(why),
    })
}

/// Adds up what several nodes want, if they were asked about; each has as many processes as the machine's connections take.
fn ask_for_nodes(
    args: &DoctorArgs,
    processes: u64,
    databases: &Databases,
) -> Result<Option<Nodes>, SettingsError> {
    let Some(count) = args.nodes else { return Ok(None) };
    let Some(writes) = &databases.writes else {
        let why = "--nodes adds up what several services open at one database, and none is named: add --database-url, or set \
                   DATABASE_URL or PGHOST";
        return Err(SettingsError::new(why));
    };
    let processes = processes.clamp(1, MOST_PROCESSES);
    let processes = u32::try_from(processes).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    let plan = plan(args, processes, args.database_max_conn)?;
    let plan = if databases.reads.is_some() { plan.with_replicas() } else { plan };
    let hosts = nodes::hosts(writes, databases.reads.as_ref()).map_err(SettingsError::new)?;
    Ok(Some(Nodes::ask(count, plan, &hosts, ask)))
}

/// The service's own plan for each number of processes that the judge may come to, a reload's overlap included.
fn connections_wanted(args: &DoctorArgs) -> Result<Vec<u64>, SettingsError> {
    let numbers =
        (1..=MOST_PROCESSES + 1).filter_map(|processes| NonZeroU32::new(processes.try_into().ok()?));
    let total = |plan: Plan| u64::from(plan.connections_total().saturating_add(plan.overlap()));
    let bound = |processes| args.database_max_conn.filter(|bound| *bound >= workers_of(processes).get());
    numbers.map(|processes| plan(args, processes, bound(processes)).map(total)).collect()
}

/// The workers of a service of so many processes here: the cores, divided by the processes.
fn workers_of(processes: NonZeroU32) -> NonZeroU32 {
    let each = NonZeroU32::new(workers::usable_cores().get() / processes).unwrap_or(NonZeroU32::MIN);
    processes.saturating_mul(each)
}

/// The plan of a service of so many processes here.
fn plan(args: &DoctorArgs, processes: NonZeroU32, upper_bound: Option<u32>) -> Result<Plan, SettingsError> {
    let (cores, workers) = (workers::usable_cores(), workers_of(processes));
    let pool_per_core = args.pool_per_core;
    let least_per_core = pool_per_core;
    Plan::new(PlanInput { cores, workers, processes, pool_per_core, least_per_core, upper_bound })
        .map_err(|error| SettingsError::new(error.to_string()))
}

fn ask(config: &Config) -> Result<Room, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no event loop can be made: {error}"))?;
    let asked = runtime.block_on(probe::ask(config));
    asked.map(|facts| facts.room).map_err(|trouble| trouble.to_string())
}
