//! How the children of a supervisor are started: this program, the settings in force as flags, the database in the environment.
//!
//! **Invariant:** no password stands among a child's words, which everybody on the machine can read; the database's address
//! travels in its environment.

use std::ffi::OsString;
use std::time::Duration;

use super::house::House;
use crate::config::database::{PgVariables, Target};
use crate::config::words::{self, Words};
use crate::config::{DatabaseArgs, ServeArgs, SettingsError};
use crate::database::plan::Plan;
use crate::database::{Config, target};
use crate::server::end_patience;
use crate::supervisor::Launch;

/// What a child is not told by flags: files are read here, the database is named in its environment, and the admin side is the
/// supervisor's.
const NOT_BY_FLAG: [&str; 8] = [
    "config",
    "database-url",
    "database-read-url",
    "data-dir",
    "pg-bin",
    "private-pg-tcp",
    "admin",
    "admin-socket",
];

/// How much longer than a child gives its own workers it is given itself, so that it may say which of them hangs.
const LAST_WORDS: Duration = Duration::from_secs(2);

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
        // Listeners that were passed are shared, whatever the settings say.
        words.set("accept", super::desk::word(&self.house.checked.topology.accept));
        let mut flags = vec![OsString::from("serve")];
        flags.extend(words.flags(&NOT_BY_FLAG));
        flags.push(format!("--connections-total={}", plan.connections_total()).into());
        flags.push(format!("--connections-least={}", plan.connections_least()).into());
        if self.house.args.child.lent_listeners {
            flags.push("--lent-listeners".into());
        }
        let mut variables: Vec<(OsString, Option<OsString>)> =
            words::variables(self.house.parsed).into_iter().map(|name| (name, None)).collect();
        variables.extend(super::systemd::VARIABLES.map(|name| (name.into(), None)));
        variables.extend(self.database(&args.database)?);
        Ok(Launch {
            program: self.program.clone(),
            words: flags,
            variables,
            drain_deadline: args.limits.drain_deadline,
            end_patience: self.end_patience(args),
        })
    }

    /// How long a child may take to end when all its connections are closed with it.
    fn end_patience(&self, args: &ServeArgs) -> Duration {
        let by_descriptors = self.house.descriptors.1.unwrap_or(u64::MAX);
        let processes = u64::from(self.house.checked.topology.processes.get());
        let most = args.limits.max_connections.unwrap_or(by_descriptors.saturating_mul(processes));
        end_patience(most).saturating_add(LAST_WORDS)
    }

    /// The database as a child's environment names it.
    fn database(
        &self,
        args: &DatabaseArgs,
    ) -> Result<impl Iterator<Item = (OsString, Option<OsString>)> + use<>, SettingsError> {
        let (url, variables) = match (self.private, args.target()?) {
            (None, Target::Given { url, variables }) => (url, variables),
            (Some(private), _) => (Some(target::pairs(private)), Box::new(PgVariables::default())),
            (None, Target::Private) => {
                return Err(SettingsError::new(
                    "the database is not named any more; name it, or restart the service",
                ));
            }
        };
        let pg: Vec<(OsString, Option<OsString>)> =
            variables.variables().map(|(name, value)| (name.into(), value.map(Into::into))).into();
        let reads = args.reads.database_read_url.clone();
        let urls = [
            ("DATABASE_URL".into(), url.map(Into::into)),
            ("DATABASE_READ_URL".into(), reads.map(Into::into)),
        ];
        Ok(pg.into_iter().chain(urls))
    }
}
