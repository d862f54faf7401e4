//! `plimsoll load --hold`: from its settings to connections that are held, and the report on them.
//!
//! **Invariant:** it is a success only where every connection was opened, kept, and answered in the end.

use std::io::{self, BufReader};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::super::{fail, interrupt, print};
use super::{held, progress};
use crate::config::LoadArgs;
use crate::config::load::{Addresses, Switch};
use crate::config::workers::usable_cores;
use crate::exit::Exit;
use crate::load::hold::report::HoldReport;
use crate::load::hold::{HoldError, HoldJob, hold, hold_part};
use crate::load::traffic::Destination;

/// The command that makes a process a part of those that hold.
const PART: &str = "load-part";

/// Holds so many connections.
pub(super) fn run(args: &LoadArgs, connections: NonZeroU32) -> Exit {
    let job = match job(args, connections) {
        Ok(job) => job,
        Err(exit) => return exit,
    };
    let stop = Arc::new(AtomicBool::new(false));
    if let Err(error) = interrupt::set_on_signal(&stop) {
        return fail(Exit::System, format_args!("signals cannot be heard: {error}"));
    }
    let mut progress = progress::Progress::of_hold(job.hold_for);
    let outcome = hold(&job, &stop, &mut |now| progress.show_step(&now));
    progress.clear();
    let report = match outcome {
        Ok(outcome) => HoldReport::new(&job, outcome),
        Err(error) => return refuse(&error),
    };
    if args.json {
        match serde_json::to_string(&report) {
            Ok(text) => print(text + "\n"),
            Err(error) => return fail(Exit::Failed, error),
        }
    } else {
        print(&report);
    }
    if let Some(why) = report.shortfall() {
        return fail(Exit::Failed, why);
    }
    if held(&args.fail_if, &report) { Exit::Condition } else { Exit::Done }
}

fn job(args: &LoadArgs, connections: NonZeroU32) -> Result<HoldJob, Exit> {
    let program = std::env::current_exe();
    let program = program
        .map_err(|error| fail(Exit::System, format_args!("this program cannot find itself: {error}")))?;
    let destinations = Destination::all(&args.urls, &args.paths, &args.headers);
    Ok(HoldJob {
        program,
        words: vec![PART],
        connections,
        active: args.hold.active.of(connections.get()),
        open_rate: args.hold.open_rate,
        first_request: args.hold.first_request == Switch::On,
        hold_for: args.hold.hold_for,
        rate: args.rate,
        sweep_depth: args.hold.sweep_depth,
        processes: args.hold.processes,
        cores: usable_cores(),
        pipeline: args.pipeline,
        timeout: args.timeout(),
        destinations: destinations.map_err(|error| fail(Exit::Settings, error))?,
        sources: Addresses::of(&args.sources).as_slice().to_vec(),
    })
}

fn refuse(error: &HoldError) -> Exit {
    let exit = match error {
        HoldError::Load(error) => return super::refuse(error),
        HoldError::Plan(_) | HoldError::Ports(_) | HoldError::Parts(_) => Exit::System,
    };
    fail(exit, error)
}

/// Holds a part of the connections, as standard input says.
pub(crate) fn run_part() -> Exit {
    match hold_part(BufReader::new(io::stdin()), io::stdout()) {
        Ok(()) => Exit::Done,
        Err(error) => fail(Exit::Failed, error),
    }
}
