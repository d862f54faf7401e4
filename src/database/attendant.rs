//! A session beside the service's: looks whether a database can serve, watches what its sessions do, and slows its queries down where
//! that is asked for. What `plimsoll sweep` needs of PostgreSQL.
//!
//! A database is slowed down by a schema of its own, in front of the tables' in the search path, whose views have the tables' names and
//! sleep before they read. The sleep stands in a subquery that names no column: PostgreSQL runs it once for each execution, before
//! the first row, however many rows there are (an `InitPlan`).
//!
//! **Invariant:** the tables themselves are never changed, and every wait for PostgreSQL has an end.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Statement};

use super::config::Config;
use super::connect::{patience, session};
use super::error::describe;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ours among all sessions, and those of them that are at work or wait within a query.
const ACTIVITY: &str = "
    SELECT count(*) FILTER (WHERE state = 'active')::int8, count(*)::int8
      FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()";

/// What the service's sessions do at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Sessions that execute a query.
    pub active: u64,
    /// Sessions there are.
    pub sessions: u64,
}

/// Why a database was not slowed down; then nothing was made in it that we know of.
#[derive(Debug, thiserror::Error)]
pub enum NotSlowed {
    /// Who we are may not make a schema.
    #[error("{why}. Let this user make a schema, by `{mend}`, or name another user with --database-url")]
    Forbidden {
        /// PostgreSQL's words.
        why: String,
        /// The statement that allows it.
        mend: String,
    },
    /// Anything else, in one line for people.
    #[error("{0}")]
    Failed(String),
}

/// The session.
#[derive(Debug)]
pub struct Attendant {
    client: Client,
    activity: Statement,
    backend: u32,
    /// Last, so that it ends last.
    runtime: Runtime,
}

impl Attendant {
    /// Opens the session, under a name of its own. Blocks.
    ///
    /// # Errors
    /// One line for people.
    pub fn open(config: &Config) -> Result<Self, String> {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let mut config = config.clone();
        config.application_name("plimsoll sweep, watching");
        let connecting = async { tokio::time::timeout(patience(&config), session(&config)).await };
        let connected = runtime.block_on(connecting).map_err(|_| "it did not answer in time".to_owned())?;
        let (client, connection) = connected.map_err(|error| describe(&error))?;
        runtime.spawn(connection);
        let (activity, backend) = ask(&runtime, async {
            let row = client.query_typed_one("SELECT pg_backend_pid()", &[]).await?;
            Ok((client.prepare(ACTIVITY).await?, row.try_get::<_, i32>(0)?))
        })?;
        Ok(Self { client, activity, backend: u32::try_from(backend).unwrap_or(0), runtime })
    }

    /// The process of PostgreSQL that serves this session, by its number where PostgreSQL runs.
    pub fn backend(&self) -> u32 {
        self.backend
    }

    /// Whether the service's tables are there.
    ///
    /// # Errors
    /// One line for people.
    pub fn has_tables(&self) -> Result<bool, String> {
        let query = "SELECT to_regclass('world') IS NOT NULL AND to_regclass('fortune') IS NOT NULL";
        ask(&self.runtime, async { self.client.query_typed_one(query, &[]).await?.try_get(0) })
    }

    /// What sessions under this name do now.
    ///
    /// # Errors
    /// One line for people.
    pub fn look(&self, application: &str) -> Result<Activity, String> {
        let row = ask(&self.runtime, self.client.query_one(&self.activity, &[&application]))?;
        let count = |at| u64::try_from(row.get::<_, i64>(at)).unwrap_or(0);
        Ok(Activity { active: count(0), sessions: count(1) })
    }

    /// Makes a schema in which every query that reads sleeps for so long first. The name is a plain one that nothing has yet; it is made
    /// whole or not at all.
    ///
    /// # Errors
    /// What may not be done is told from what cannot be done.
    pub fn slow_down(&self, schema: &str, sleep: Duration) -> Result<(), NotSlowed> {
        let seconds = sleep.as_secs_f64();
        let view = |table: &str, columns: &str| {
            format!(
                "CREATE VIEW {schema}.{table} AS SELECT {columns} FROM {table} \
                 WHERE (SELECT pg_sleep({seconds})::text) IS NOT NULL;"
            )
        };
        // A view keeps the table that it found when it was made. Statements that are sent as one are one transaction, which is over
        // when one of them fails.
        let statements = format!(
            "CREATE SCHEMA {schema}; {} {}",
            view("world", "id, randomnumber"),
            view("fortune", "id, message")
        );
        let made = async { tokio::time::timeout(PATIENCE, self.client.batch_execute(&statements)).await };
        match self.runtime.block_on(made) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                Err(NotSlowed::Forbidden { why: describe(&error), mend: self.permission() })
            }
            Ok(Err(error)) => Err(NotSlowed::Failed(describe(&error))),
            Err(_) => Err(NotSlowed::Failed("it did not answer in time".into())),
        }
    }

    /// The statement that lets this user make schemas here.
    fn permission(&self) -> String {
        let query = "SELECT format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user)";
        let told = ask(&self.runtime, async { self.client.query_typed_one(query, &[]).await?.try_get(0) });
        told.unwrap_or_else(|_| "GRANT CREATE ON DATABASE".into())
    }

    /// Takes the schema away again.
    ///
    /// # Errors
    /// One line for people.
    pub fn speed_up(&self, schema: &str) -> Result<(), String> {
        ask(&self.runtime, self.client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")))
    }
}

fn ask<T>(
    runtime: &Runtime,
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, String> {
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await });
    answer.map_err(|_| "it did not answer in time".to_owned())?.map_err(|error| describe(&error))
}

/// The configuration for sessions under this name, which look into this schema before any other.
pub fn named(config: &Config, application: &str, schema: Option<&str>) -> Config {
    let mut config = config.clone();
    config.application_name(application);
    if let Some(schema) = schema {
        let before = config.get_options().map(|options| format!("{options} ")).unwrap_or_default();
        config.options(format!("{before}-csearch_path={schema},\"$user\",public"));
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_comes_behind_the_options_that_there_are() {
        let driver: tokio_postgres::Config = "host=db options='-c work_mem=1MB'".parse().unwrap();
        let named = named(&driver.into(), "sweep", Some("slow"));
        assert_eq!(named.get_options(), Some("-c work_mem=1MB -csearch_path=slow,\"$user\",public"));
        assert_eq!(named.get_application_name(), Some("sweep"));
    }
}
