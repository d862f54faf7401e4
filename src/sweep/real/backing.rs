//! The database behind all points: what is put in front of it and into it, and who watches it.
//!
//! **Invariant:** what was made in a database that somebody runs is taken away again, also where the sweep fails.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::wire::Wire;
use crate::config::sweep::Course;
use crate::database::attendant::{self, Activity, Attendant, NotSlowed};
use crate::database::{Config, target};
use crate::kernel::usage::ProcessTable;
use crate::sweep::schedule::Failure;

/// The name of PostgreSQL's processes.
const POSTGRES: &str = "postgres";

/// Why a database cannot be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unprepared {
    /// Something failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// A right that only somebody else can give is missing.
    #[error("--db-work: the schema that slows queries down may not be made: {0}")]
    Forbidden(NotSlowed),
}

/// A database that is ready to be measured.
pub(crate) struct Backing {
    attendant: Attendant,
    /// What the servers' sessions are called.
    application: String,
    /// What the servers are told, password and all.
    address: String,
    postmaster: Option<u32>,
    wire: Option<Wire>,
    /// The schema that slows queries down.
    schema: Option<String>,
}

impl Backing {
    /// Puts the delay in front of the database and the sleep into it, as the course asks for.
    pub(crate) fn prepare(
        program: &Path,
        config: &Config,
        attendant: Attendant,
        course: &Course,
    ) -> Result<Self, Unprepared> {
        let mark = mark();
        let application = format!("plimsoll sweep {mark}");
        let mut near = config.clone();
        let wire = match course.db_rtt {
            None => None,
            Some(rtt) => {
                let wire = Wire::start(program, reach(config)?, rtt / 2)?;
                near = target::moved(config, wire.address());
                Some(wire)
            }
        };
        // In a container its numbers are others, and then there is no such process, or another's.
        let backend = Some(attendant.backend()).filter(|_| target::is_here(config));
        let postmaster = backend.and_then(|backend| ProcessTable::read().parent_named(backend, POSTGRES));
        let mut backing =
            Self { attendant, application, address: String::new(), postmaster, wire, schema: None };
        if let Some(sleep) = course.db_work {
            let schema = format!("plimsoll_sweep_{mark}");
            let made = backing.attendant.slow_down(&schema, sleep);
            backing.schema = Some(schema);
            made.map_err(|error| match error {
                NotSlowed::Forbidden { .. } => Unprepared::Forbidden(error),
                NotSlowed::Failed(why) => Unprepared::Failed(Failure::Failed(format!(
                    "--db-work: the schema that slows queries down cannot be made: {why}"
                ))),
            })?;
        }
        let named = attendant::named(&near, &backing.application, backing.schema.as_deref());
        backing.address = target::secret_pairs(&named);
        Ok(backing)
    }

    /// What a server is told of the database: a secret.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// PostgreSQL's first process, where it runs here.
    pub(super) fn postmaster(&self) -> Option<u32> {
        self.postmaster
    }

    /// The process that delays, if there is one.
    pub(super) fn wire(&self) -> Option<u32> {
        self.wire.as_ref().map(Wire::pid)
    }

    /// What the servers' sessions do now.
    pub(super) fn look(&self) -> Result<Activity, String> {
        self.attendant.look(&self.application)
    }
}

impl Drop for Backing {
    fn drop(&mut self) {
        if let Some(schema) = &self.schema
            && let Err(why) = self.attendant.speed_up(schema)
        {
            tracing::warn!("the schema {schema} stays in the database, as it could not be dropped: {why}");
        }
    }
}

/// What no other sweep of this database has, on this machine or another: a process's number alone comes again, and is another's elsewhere.
fn mark() -> String {
    let mut random: SmallRng = rand::make_rng();
    format!("{}_{:016x}", std::process::id(), random.random::<u64>())
}

/// The database's one address over TCP.
fn reach(config: &Config) -> Result<SocketAddr, Failure> {
    let (host, port) = target::tcp_place(config).ok_or_else(|| {
        Failure::Failed(
            "--db-rtt needs a database with one host that is reached over TCP: name it so by --database-url"
                .into(),
        )
    })?;
    let found = (host.as_str(), port).to_socket_addrs();
    let found = found.map_err(|error| Failure::Failed(format!("{host} is not found: {error}")))?.next();
    found.ok_or_else(|| Failure::Failed(format!("{host} has no address")))
}
