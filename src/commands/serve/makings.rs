//! How the children of a supervisor are started: this program, the settings in force as flags, the database in the environment.
//!
//! **Invariant:** no password stands among a child's words, which everybody on the machine can read; the database's address
//! travels in its environment.

use std::ffi::OsString;

use super::house::House;
use crate::config::database::{PgVariables, Target};
use crate::config::words::{self, Words};
use crate::config::{DatabaseArgs, ServeArgs, SettingsError};
use crate::database::plan::Plan;
use crate::database::{Config, target};
use crate::supervisor::Launch;

/// What a child is not told by flags: files are read here, and the database is named in its environment.
const NOT_BY_FLAG: [&str; 5] = ["config", "database-url", "data-dir", "pg-bin", "private-pg-tcp"];

/// What launches are made from.
pub(super) struct Makings<'a> {
    pub(super) house: &'a House<'a>,
    pub(super) program: std::path::PathBuf,
    /// The private PostgreSQL, where there is one.
    pub(super) private: Option<&'a Config>,
}

impl Makings<'_> {
    /// How children are started with these settings.
    pub(super) fn launch(
        &self,
        mut words: Words,
        plan: &Plan,
        args: &ServeArgs,
    ) -> Result<Launch, SettingsError> {
        words.set("workers", self.house.checked.topology.workers.to_string());
        let mut flags = vec![OsString::from("serve")];
        flags.extend(words.flags(&NOT_BY_FLAG));
        flags.push(format!("--connections-total={}", plan.connections_total()).into());
        let mut variables: Vec<(OsString, Option<OsString>)> =
            words::variables(self.house.parsed).into_iter().map(|name| (name, None)).collect();
        variables.extend(self.database(&args.database)?);
        Ok(Launch {
            program: self.program.clone(),
            words: flags,
            variables,
            drain_deadline: args.limits.drain_deadline,
        })
    }

    /// The database as a child's environment names it.
    fn database(
        &self,
        args: &DatabaseArgs,
    ) -> Result<impl Iterator<Item = (OsString, Option<OsString>)> + use<>, SettingsError> {
        let (url, variables) = match (self.private, args.target()?) {
            (None, Target::Given { url, variables }) => (url, variables),
            (Some(private), _) => (Some(target::pairs(private)), PgVariables::default()),
            (None, Target::Private) => {
                return Err(SettingsError::new(
                    "the database is not named any more; name it, or restart the service",
                ));
            }
        };
        let pg: Vec<(OsString, Option<OsString>)> =
            variables.variables().map(|(name, value)| (name.into(), value.map(Into::into))).into();
        Ok(pg.into_iter().chain([("DATABASE_URL".into(), url.map(Into::into))]))
    }
}
