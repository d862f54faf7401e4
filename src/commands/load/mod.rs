//! `plimsoll load`: from its settings to a run, and from what came of it to a report and an exit code.
//!
//! **Invariant:** whatever was measured is printed, however the run ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{fail, interrupt, print, say};
use crate::config::LoadArgs;
use crate::config::load::{Addresses, Threshold};
use crate::exit::Exit;
use crate::load::report::{Report, Time};
use crate::load::traffic::Destination;
use crate::load::{self, Job, LoadError};

mod csv;
mod hold;
mod progress;

pub(crate) use hold::run_part;

/// Asks, and reports.
pub(crate) fn run(args: &LoadArgs) -> Exit {
    if let Err(error) = args.check() {
        return fail(Exit::Settings, error);
    }
    if let Some(connections) = args.hold.hold {
        return hold::run(args, connections);
    }
    let job = match job(args) {
        Ok(job) => job,
        Err(exit) => return exit,
    };
    let mut rows = match args.csv.as_deref().map(csv::Rows::create).transpose() {
        Ok(rows) => rows,
        Err(why) => return fail(Exit::Failed, why),
    };
    let stop = Arc::new(AtomicBool::new(false));
    if let Err(error) = interrupt::set_on_signal(&stop) {
        return fail(Exit::System, format_args!("signals cannot be heard: {error}"));
    }
    let mut progress = progress::Progress::of_run(&job);
    let outcome = load::run(&job, &stop, &mut |row| {
        progress.show(row);
        if let Some(rows) = &mut rows {
            rows.write(row);
        }
    });
    progress.clear();
    let report = match outcome {
        Ok(outcome) => Report::new(&job, outcome, stop.load(Ordering::Relaxed)),
        Err(error) => return refuse(&error),
    };
    if args.json {
        match serde_json::to_string(&report) {
            Ok(text) => print(text + "\n"),
            Err(error) => return fail(Exit::Failed, error),
        }
    } else {
        print(&report);
        if args.latency {
            print(report.distribution());
        }
    }
    let exit = judge(args, &report);
    match rows.map(csv::Rows::finish) {
        Some(Err(why)) => fail(Exit::Failed, why),
        _ => exit,
    }
}

/// What the settings ask for; a refusal has been told.
fn job(args: &LoadArgs) -> Result<Job, Exit> {
    let destinations = Destination::all(&args.urls, &args.paths, &args.headers);
    Ok(Job {
        threads: args.threads,
        connections: args.connections.get(),
        pipeline: args.pipeline,
        timeout: args.timeout(),
        destinations: destinations.map_err(|error| fail(Exit::Settings, error))?,
        sources: Addresses::of(&args.sources).as_slice().to_vec(),
        warm_up: args.warm_up,
        duration: args.duration,
        requests: args.requests,
        rate: args.rate,
    })
}

fn refuse(error: &LoadError) -> Exit {
    let exit = match error {
        LoadError::Unreached { .. } | LoadError::Died => Exit::Failed,
        LoadError::Source { .. } => Exit::Settings,
        LoadError::Ports(_) | LoadError::Descriptors { .. } | LoadError::System(_) => Exit::System,
    };
    fail(exit, error)
}

/// The exit code that a report deserves.
fn judge(args: &LoadArgs, report: &Report) -> Exit {
    if !report.answered() {
        return fail(Exit::Failed, "not one request was answered: the errors above say how they failed");
    }
    if held(&args.fail_if, report) { Exit::Condition } else { Exit::Done }
}

/// Whether any condition held; each that did is told.
fn held(conditions: &[Threshold], report: &impl crate::config::load::Measured) -> bool {
    let mut any = false;
    for condition in conditions {
        let (holds, value) = condition.holds(report);
        any |= holds;
        if holds {
            let value = match value {
                Some(us) if condition.is_latency() => Time::of(us).to_string(),
                Some(value) => value.to_string(),
                None => "not measured".into(),
            };
            say(format_args!("--fail-if {condition} held: {value}"));
        }
    }
    any
}
