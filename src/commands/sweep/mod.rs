//! `plimsoll sweep`: from its settings to a grid of measurements, and from those to a report.
//!
//! [`ground`] starts or finds the database and is the last to be put away; [`progress`] says how far it has come.
//!
//! **Invariant:** whatever was measured is reported, however the sweep ended.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{fail, interrupt, print, say};
use crate::config::sweep::Course;
use crate::config::{SettingsError, SweepArgs, workers};
use crate::exit::Exit;
use crate::logging::{self, Log};
use crate::sweep::journal::{Journal, JournalError};
use crate::sweep::real::{Real, Subject};
use crate::sweep::report::{self, About};
use crate::sweep::schedule::{self, Failure};
use crate::sweep::{grid, journal, summary};

mod ground;
mod progress;

use ground::{Found, Ground};

/// Why it ends without a report.
struct Refused {
    exit: Exit,
    why: String,
}

impl Refused {
    fn new(exit: Exit, why: impl std::fmt::Display) -> Self {
        Self { exit, why: why.to_string() }
    }
}

impl From<SettingsError> for Refused {
    fn from(error: SettingsError) -> Self {
        Self::new(Exit::Settings, error)
    }
}

impl From<JournalError> for Refused {
    fn from(error: JournalError) -> Self {
        Self::new(if error.is_about_settings() { Exit::Settings } else { Exit::System }, error)
    }
}

/// Sweeps, and reports.
pub(crate) fn run(args: &SweepArgs) -> Exit {
    match sweep(args) {
        Ok(exit) => exit,
        Err(Refused { exit, why }) => fail(exit, why),
    }
}

fn sweep(args: &SweepArgs) -> Result<Exit, Refused> {
    let course = args.course(workers::usable_cores().get())?;
    let found = ground::find(args, &course)?;
    let directory = args.out.clone().unwrap_or_else(name_directory);
    let mut same = course.same();
    same.push(("database", found.name()));
    // Before anything is started: a refusal should be quick.
    same.push(("program", env!("CARGO_PKG_VERSION").to_owned()));
    let resumed = if args.resume { Some(Journal::resume(&directory, &same)?) } else { None };
    if resumed.is_none() {
        Journal::expect_none(&directory)?;
    }
    let program = env::current_exe();
    let program = program
        .map_err(|error| Refused::new(Exit::System, format_args!("this program is not found: {error}")))?;
    let _log = Log::install(logging::DEFAULT_FILTER, None).map_err(|why| Refused::new(Exit::System, why))?;
    let stop = Arc::new(AtomicBool::new(false));
    interrupt::set_on_signal(&stop)
        .map_err(|error| Refused::new(Exit::System, format_args!("signals cannot be heard: {error}")))?;
    // Where it ends early the database goes last here too.
    let (_ground, subject, database) = match found {
        Found::Elsewhere(url) => (None, Subject::Elsewhere(url.clone()), format!("http://{}", url.authority)),
        Found::Database(found) => {
            let Ground { backing, name, version, kept } = Ground::lay(&program, *found, args, &course)?;
            if let Some(journal) = &resumed {
                journal.expect(journal::SERVER, &version)?;
            }
            same.push((journal::SERVER, version));
            (Some(kept), Subject::Ours(Box::new(backing)), name)
        }
    };
    let mut journal = match resumed {
        Some(journal) => journal,
        None => Journal::begin(&directory, &same)?,
    };
    let mut measure = Real { program, course: &course, subject, stop };
    let points = grid::points(&course);
    let mut progress = progress::Progress::of(&course);
    let outcome = schedule::run(&points, course.rounds, &mut journal, &mut measure, &mut |now, point| {
        progress.show(now, point);
    });
    progress.clear();
    // Servers and what was put into the database go before the database does.
    drop(measure);
    Ok(conclude(&Conclusion { course, directory, database, journal }, outcome))
}

/// All that a report is made of.
struct Conclusion {
    course: Course,
    directory: PathBuf,
    database: String,
    journal: Journal,
}

/// Writes the report, prints it, and says how it ended.
fn conclude(conclusion: &Conclusion, outcome: Result<(), Failure>) -> Exit {
    let Conclusion { course, directory, database, journal } = conclusion;
    let exit = match &outcome {
        Ok(()) => Exit::Done,
        Err(Failure::Stopped | Failure::Failed(_)) => Exit::Failed,
        Err(Failure::Journal(_)) => Exit::System,
    };
    if !journal.records().is_empty() {
        let findings = summary::summarise(course, journal.records());
        let about = About {
            program: env!("CARGO_PKG_VERSION").into(),
            made: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            database: database.clone(),
            command: course.command(),
            settings: settings(course),
            is_whole: outcome.is_ok(),
        };
        match report::write(directory, &about, &findings) {
            Ok(path) => say(format_args!("report: {}", path.display())),
            Err(error) => {
                return fail(
                    Exit::System,
                    format_args!("{} cannot be written: {error}", directory.display()),
                );
            }
        }
        print(report::write_text(&findings));
        if outcome.is_ok() && findings.knees.is_empty() {
            return fail(
                Exit::Failed,
                "there is no knee: not one request was answered with 2xx. Are the --routes right?",
            );
        }
    }
    let again = format!("`--out {} --resume` with the same settings goes on", directory.display());
    match outcome {
        Ok(()) => Exit::Done,
        Err(failure) => fail(exit, format_args!("{failure}; what was measured is kept, and {again}")),
    }
}

fn settings(course: &Course) -> Vec<(String, String)> {
    let mut settings = vec![("rounds".to_owned(), course.rounds.to_string())];
    settings.extend(course.same().into_iter().map(|(name, value)| (name.to_owned(), value)));
    settings.retain(|(_, value)| !value.is_empty());
    settings
}

/// A directory of its own for each sweep, in the current one.
fn name_directory() -> PathBuf {
    jiff::Timestamp::now().strftime("sweep-%Y%m%dT%H%M%SZ").to_string().into()
}
