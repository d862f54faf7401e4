//! The database of a sweep: named by somebody, or a private one that is started for it.
//!
//! **Invariant:** a private PostgreSQL ends with the sweep, and so does a directory that was made for it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use super::Refused;
use crate::commands::say;
use crate::commands::serve::private::exit_code;
use crate::config::SweepArgs;
use crate::config::load::Url;
use crate::config::sweep::Course;
use crate::database::attendant::Attendant;
use crate::database::embedded::{Embedded, EmbeddedError, Options};
use crate::database::probe::{self, Facts};
use crate::database::{Config, target};
use crate::exit::Exit;
use crate::sweep::real::{Backing, Unprepared};

/// Connections beside those of a point: the session that watches, and one of a supervisor's first look.
const BESIDE: u32 = 2;
/// Attempts to find a port that nobody takes meanwhile.
const PORT_ATTEMPTS: u32 = 5;

/// What is to be measured, before anything is started.
pub(super) enum Found {
    /// A server that runs elsewhere.
    Elsewhere(Url),
    /// Servers of ours, in front of this.
    Database(Box<Database>),
}

/// A database that somebody runs; none stands for a private one.
pub(super) struct Database(Option<Config>);

/// A database that answers, with all that was put in front of it.
pub(super) struct Ground {
    pub(super) backing: Backing,
    /// What it is, for people.
    pub(super) name: String,
    /// PostgreSQL's version.
    pub(super) version: String,
    /// What has to outlive the rest.
    pub(super) kept: Kept,
}

/// A private PostgreSQL and its directory; ended and removed in this order.
pub(super) struct Kept {
    _embedded: Option<Embedded>,
    _directory: Option<Temporary>,
}

/// A directory that goes with its handle.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("{} stays: {error}", self.0.display());
        }
    }
}

impl Found {
    /// What must be the same for a sweep to be gone on with.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Elsewhere(url) => format!("http://{}", url.authority),
            Self::Database(database) => {
                database.0.as_ref().map_or_else(|| "private".into(), target::describe)
            }
        }
    }
}

/// Says what is measured, and refuses what cannot be.
pub(super) fn find(args: &SweepArgs, course: &Course) -> Result<Found, Refused> {
    if let Some(url) = &args.url {
        return Ok(Found::Elsewhere(url.clone()));
    }
    let config = match args.target()? {
        Some(target) => target::configuration(&target)?,
        None => None,
    };
    if let Some(config) = &config
        && course.db_rtt.is_some()
        && target::tcp_place(config).is_none()
    {
        let why = "--db-rtt needs a database with one host that is reached over TCP, as in postgres://user@127.0.0.1:5432/database";
        return Err(Refused::new(Exit::Settings, why));
    }
    Ok(Found::Database(Box::new(Database(config))))
}

impl Ground {
    /// Starts what has to be started, and sees whether it can serve the largest point.
    pub(super) fn lay(
        program: &Path,
        database: Database,
        args: &SweepArgs,
        course: &Course,
    ) -> Result<Self, Refused> {
        let largest = course.sizes.last().copied().unwrap_or(1);
        let is_private = database.0.is_none();
        let (config, kept) = match database.0 {
            Some(config) => (config, Kept { _embedded: None, _directory: None }),
            None => start_private(args, course, largest)?,
        };
        let unreached = |why: String| {
            Refused::new(Exit::DatabaseUnreached, format_args!("the database is not reached: {why}"))
        };
        let facts = contact(&config).map_err(unreached)?;
        let free = facts.room.free();
        if free < largest.saturating_add(BESIDE) {
            return Err(Refused::new(
                Exit::Settings,
                format_args!(
                    "the grid goes to {largest} database connections, and {BESIDE} beside, but PostgreSQL has {free} free: name smaller \
                     values of --pool or --processes, or raise its max_connections"
                ),
            ));
        }
        let attendant = Attendant::open(&config).map_err(unreached)?;
        if !attendant.has_tables().map_err(unreached)? {
            let why = "the database has no tables `world` and `fortune`; `plimsoll init-db` makes them";
            return Err(Refused::new(Exit::Settings, why));
        }
        let place = if is_private { "private".into() } else { target::describe(&config) };
        let backing = Backing::prepare(program, &config, attendant, course)
            .map_err(|why| Refused::new(exit_of(&why), why))?;
        let name = format!("PostgreSQL {}, {place}", facts.version);
        Ok(Self { backing, name, version: facts.version, kept })
    }
}

fn exit_of(why: &Unprepared) -> Exit {
    match why {
        Unprepared::Forbidden(_) => Exit::Settings,
        Unprepared::Failed(_) => Exit::Failed,
    }
}

fn contact(config: &Config) -> Result<Facts, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = runtime.map_err(|error| error.to_string())?.block_on(probe::ask(config));
    asked.map_err(|trouble| trouble.to_string())
}

/// Starts a private PostgreSQL, on TCP too where it is to be far away.
fn start_private(args: &SweepArgs, course: &Course, largest: u32) -> Result<(Config, Kept), Refused> {
    let directory = args.data_dir.is_none().then(|| Temporary(name_directory()));
    let data_dir = args.data_dir.clone().or_else(|| directory.as_ref().map(|directory| directory.0.clone()));
    let mut options = Options {
        data_dir: data_dir.unwrap_or_default(),
        pg_bin: args.pg_bin.clone(),
        tcp_port: None,
        max_connections: largest.saturating_add(BESIDE),
    };
    say("starting a private PostgreSQL");
    let mut attempt = 0;
    let embedded = loop {
        attempt += 1;
        if course.db_rtt.is_some() {
            options.tcp_port = Some(free_port()?);
        }
        match Embedded::start(&options, &mut |line| say(format_args!("private PostgreSQL: {line}"))) {
            Ok(embedded) => break embedded,
            Err(EmbeddedError::TcpPort { .. }) if attempt < PORT_ATTEMPTS => {}
            Err(error) => return Err(Refused::new(exit_code(&error), error)),
        }
    };
    let config = embedded.tcp_config().unwrap_or_else(|| embedded.config());
    Ok((config, Kept { _embedded: Some(embedded), _directory: directory }))
}

fn free_port() -> Result<u16, Refused> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener
        .map(|address| address.port())
        .map_err(|error| Refused::new(Exit::System, format_args!("no port is free: {error}")))
}

/// A name that no other sweep has.
fn name_directory() -> PathBuf {
    let moment = jiff::Timestamp::now().as_nanosecond();
    std::env::temp_dir().join(format!("plimsoll-sweep-{}-{moment}", std::process::id()))
}
