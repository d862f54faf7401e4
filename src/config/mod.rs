//! Settings: flag before environment before file before default, each declared once.
//!
//! A section is a struct of clap arguments ([`listen`], [`workers`], [`database`], [`limits`], [`lab`], [`admin`]), so that the doc comment
//! of a field is its help text, and its attribute holds the flag, the variable and the default together. [`layers`] reads
//! the file and hands it to clap as defaults; [`words`] turns them into flags again; [`report`] prints what is in force and where it came from.
//!
//! **Invariant:** an invalid setting stops the start with exit code 78. Nothing falls back silently.

use std::path::PathBuf;

use crate::logging;

pub mod admin;
pub mod database;
pub mod doctor;
pub mod duration;
mod file;
pub mod lab;
mod layers;
pub mod limits;
pub mod listen;
pub mod load;
mod pgenv;
pub mod pool;
mod reads;
pub mod report;
pub mod sweep;
pub mod views;
pub mod words;
pub mod workers;

pub use admin::{AdminArgs, ReaderArgs};
pub use database::DatabaseArgs;
pub use doctor::DoctorArgs;
pub use lab::LabArgs;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use layers::parse_over;
pub use layers::{Parsed, Refusal, SettingsError, parse};
pub use limits::LimitsArgs;
pub use listen::ListenArgs;
pub use load::LoadArgs;
pub use pool::PoolArgs;
pub use sweep::SweepArgs;
pub use views::{ConnectionsArgs, StatusArgs, TopArgs};
pub use workers::{Topology, WorkersArgs};

/// Settings of `plimsoll serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArgs {
    /// Where to listen.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// How many threads.
    #[command(flatten)]
    pub workers: WorkersArgs,
    /// Which database, and how it is used.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// How long anything may take.
    #[command(flatten)]
    pub limits: LimitsArgs,
    /// Which workloads there are beside the seven routes.
    #[command(flatten)]
    pub lab: LabArgs,
    /// Where the running service may be asked and changed.
    #[command(flatten)]
    pub admin: AdminArgs,

    /// Read settings from this TOML file: flat keys, named as the flags (`pool-per-core = 5`).
    #[arg(long, value_name = "FILE", env = "PLIMSOLL_CONFIG", help_heading = "Settings")]
    pub config: Option<PathBuf>,
    /// What is logged: a level, or a list as in `info,plimsoll=debug`
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", default_value = logging::DEFAULT_FILTER, value_parser = logging::parse_filter, help_heading = "Settings")]
    pub log: String,
    /// What only a supervisor says to its children.
    #[command(flatten)]
    pub child: ChildArgs,
    /// Print every setting in force and where it came from, secrets masked, and exit.
    #[arg(long, help_heading = "Settings")]
    pub show_config: bool,
}

/// What a supervisor says to its children, and a sweep to its servers; not for people.
#[derive(Debug, Clone, clap::Args)]
pub struct ChildArgs {
    /// Serve as the process with this index, from 0, under the supervisor at the other end of standard input.
    #[arg(long, value_name = "INDEX", hide = true, requires = "connections_total")]
    pub process_index: Option<u32>,
    /// Database connections over all processes.
    #[arg(long, value_name = "N", hide = true, requires = "process_index")]
    pub connections_total: Option<u32>,
    /// The fewest of them, where how many serve best is to be found.
    #[arg(long, value_name = "N", hide = true, requires = "process_index")]
    pub connections_least: Option<u32>,
    /// The listeners are somebody else's, who goes on with them when the service has ended: systemd's.
    #[arg(long, hide = true, requires = "process_index")]
    pub lent_listeners: bool,
    /// End at once when standard input ends: what `sweep` says to its servers, so that none outlives it.
    #[arg(long, hide = true, conflicts_with = "process_index")]
    pub end_with_input: bool,
}

/// Settings of `plimsoll init-db`.
#[derive(Debug, Clone, clap::Args)]
pub struct InitDbArgs {
    /// The database to fill, as a URL or as key=value pairs; `PGHOST` and its kin are read where it is not given.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
}

impl InitDbArgs {
    /// The database that is named, by the same rule as for `serve`.
    pub fn target(&self) -> Result<database::Target, SettingsError> {
        Ok(database::resolve_target(self.database_url.as_deref(), pgenv::read_environment()?))
    }
}
