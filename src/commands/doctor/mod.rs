//! `plimsoll doctor`: which limits of this machine stop how many connections, and what mends them.
//!
//! The facts are read and judged in [`crate::kernel`]; here they are asked for, printed ([`text`], [`json`]), written to a
//! file for sysctl(8) ([`sysctl_file`]), put in force and put back ([`change`], with what [`undo`] keeps).
//!
//! **Invariant:** the exit code is 0 only where nothing stops the connections asked for and everything asked for was done.

use std::num::NonZeroU32;

use super::screen::Screen;
use super::{fail, print, say};
use crate::config::doctor::ClientsAt;
use crate::config::{DoctorArgs, SettingsError, workers};
use crate::database::plan::{Plan, PlanInput};
use crate::database::{Config, probe, target};
use crate::exit::Exit;
use crate::kernel::facts::Database;
use crate::kernel::judge::processes::MOST_PROCESSES;
use crate::kernel::judge::{self, Clients, Load, Question, judge};
use crate::kernel::read::System;
use crate::server;
use crate::telemetry::admin;

mod change;
mod json;
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
    facts.database = match ask_database(args) {
        Ok(database) => database,
        Err(error) => return fail(Exit::Settings, error),
    };
    let mut verdict = judge(&facts, &question);
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
        print(json::render(&question, &verdict));
    } else {
        print(text::render(&question, &verdict, Screen::of_stdout().colours));
    }
    if done && verdict.fits() { Exit::Done } else { Exit::Failed }
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

/// Asks the database that is named for its room, and the plan for what the service would take of it.
fn ask_database(args: &DoctorArgs) -> Result<Database, SettingsError> {
    let Some(config) = target::configuration(&args.target()?)? else { return Ok(Database::NotNamed) };
    let wanted = connections_wanted(args)?;
    // Takes seconds where nobody answers.
    say(format_args!("asking {} for its room", target::describe(&config)));
    Ok(match ask(&config) {
        Ok(room) => Database::Room { limit: room.limit.into(), free: room.free().into(), wanted },
        Err(why) => Database::NotReached(why),
    })
}

/// The service's own plan for each number of processes that the judge may come to, a reload's overlap included; workers are the cores,
/// divided by the processes.
fn connections_wanted(args: &DoctorArgs) -> Result<Vec<u64>, SettingsError> {
    let cores = workers::usable_cores();
    let pool_per_core = args.pool_per_core;
    let numbers =
        (1..=MOST_PROCESSES + 1).filter_map(|processes| NonZeroU32::new(processes.try_into().ok()?));
    let wanted = numbers.map(|processes| {
        let each = NonZeroU32::new(cores.get() / processes).unwrap_or(NonZeroU32::MIN);
        let workers = processes.saturating_mul(each);
        let least_per_core = pool_per_core;
        let input = PlanInput { cores, workers, processes, pool_per_core, least_per_core, upper_bound: None };
        Plan::new(input)
            .map(|plan| u64::from(plan.connections_total().saturating_add(plan.overlap())))
            .map_err(|error| SettingsError::new(error.to_string()))
    });
    wanted.collect()
}

fn ask(config: &Config) -> Result<crate::database::plan::Room, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no event loop can be made: {error}"))?;
    let asked = runtime.block_on(probe::ask(config));
    asked.map(|facts| facts.room).map_err(|trouble| trouble.to_string())
}
