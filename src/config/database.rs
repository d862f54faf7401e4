//! Which database, and how it is used.
//!
//! **Invariant:** only `DATABASE_URL` (or its flag or file key), `PGHOST` and `PGSERVICE` turn the private PostgreSQL off.

use std::path::PathBuf;
use std::time::Duration;

use super::duration::parse;
use super::layers::SettingsError;
use super::pgenv;
pub use super::pgenv::PgVariables;
pub use super::reads::{Reads, ReadsArgs};

/// Database connections for each core, for everyone who counts them.
pub(super) const DEFAULT_POOL_PER_CORE: &str = "4";

/// The rule of thumb for work that waits on a database.
const DEFAULT_POOL_BOUNDS: &str = "3-6";

/// The section of settings on the database.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArgs {
    /// The database, as a URL or as key=value pairs; several hosts, `target_session_attrs`, `sslmode` (prefer where it is not said; disable, require, verify-ca, verify-full) and `sslrootcert` (a PEM file, or system) as for libpq; PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE, PGSSLROOTCERT, PGTARGETSESSIONATTRS and PGSERVICE are read where it is not given [default: a private PostgreSQL]
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Where rows are read and where not: replicas, connection ages.
    #[command(flatten)]
    pub reads: ReadsArgs,
    /// Where the private PostgreSQL keeps its cluster [default: plimsoll in the user's data directory, /var/lib/plimsoll for root]
    #[arg(long, value_name = "DIR", env = "PLIMSOLL_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where the private PostgreSQL's programs lie (`initdb`, `pg_ctl`, `postgres`) [default: found]
    #[arg(long, value_name = "DIR", env = "PLIMSOLL_PG_BIN")]
    pub pg_bin: Option<PathBuf>,
    /// Let the private PostgreSQL listen on 127.0.0.1 too, at this port [default: off]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub private_pg_tcp: Option<u16>,
    /// Database connections for each core; 3 to 6 suits work that waits on a database; `auto` finds how many serve most, within --pool-bounds
    #[arg(long, value_name = "N", env = "PLIMSOLL_POOL_PER_CORE", default_value = DEFAULT_POOL_PER_CORE, value_parser = parse_pool)]
    pub pool_per_core: PoolPerCore,
    /// The fewest and the most database connections for each core with --pool-per-core auto
    #[arg(long, value_name = "N-N", env = "PLIMSOLL_POOL_BOUNDS", default_value = DEFAULT_POOL_BOUNDS, value_parser = parse_pool_bounds)]
    pub pool_bounds: PoolBounds,
    /// Never more database connections than this, over all workers [default: no bound]
    #[arg(long, value_name = "N", env = "DATABASE_MAX_CONN", value_parser = clap::value_parser!(u32).range(1..))]
    pub database_max_conn: Option<u32>,
    /// Requests of one worker that may wait for a database connection; one more is answered with 503 at once
    #[arg(long, value_name = "N", env = "PLIMSOLL_MAX_WAITING", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_waiting: u32,
    /// How requests share database connections
    #[arg(long, env = "PLIMSOLL_DISPATCH", value_enum, default_value_t = Dispatch::Pipelined)]
    pub dispatch: Dispatch,
    /// Who sends queries; `direct` costs less for each query, and takes pipelined dispatch and cached statements
    #[arg(long, env = "PLIMSOLL_DRIVER", value_enum, default_value_t = Driver::TokioPostgres)]
    pub driver: Driver,
    /// How statements are sent
    #[arg(long, env = "PLIMSOLL_STATEMENTS", value_enum, default_value_t = Statements::Cached)]
    pub statements: Statements,
    /// End with exit code 69 when the database was not reached for this long after the start [default: go on trying]
    #[arg(long, value_name = "TIME", env = "PLIMSOLL_DATABASE_WAIT", value_parser = parse)]
    pub database_wait: Option<Duration>,
}

/// How many database connections there are for each core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PoolPerCore {
    /// So many.
    Fixed(f64),
    /// As many as serve most, within bounds.
    Auto,
}

/// The fewest and the most database connections for each core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoolBounds {
    /// At the least.
    pub least: f64,
    /// At the most; not below the least.
    pub most: f64,
}

/// How requests share a worker's database connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dispatch {
    /// Many requests in flight on each connection, each query with its own Sync
    Pipelined,
    /// A connection to itself for each request: the textbook pool
    Exclusive,
}

/// Who sends queries to PostgreSQL and reads the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Driver {
    /// tokio-postgres, one channel for each query
    TokioPostgres,
    /// This service, in the stream of a connection that tokio-postgres opened
    Direct,
}

/// How statements are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Statements {
    /// Prepared once on each connection
    Cached,
    /// Parsed anew each time, for use behind a transaction pooler
    Unnamed,
}

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A PostgreSQL that somebody runs.
    Given {
        /// What `--database-url` says, if anything.
        url: Option<String>,
        /// What the URL leaves open.
        variables: Box<PgVariables>,
    },
    /// A PostgreSQL of our own.
    Private,
}

impl DatabaseArgs {
    /// Decides between a given and the private database, and refuses settings of the one with the other.
    pub fn target(&self) -> Result<Target, SettingsError> {
        self.check_driver()?;
        let target = resolve_target(self.database_url.as_deref(), pgenv::read_environment()?);
        if target != Target::Private {
            for (flag, given) in [
                ("--data-dir", self.data_dir.is_some()),
                ("--pg-bin", self.pg_bin.is_some()),
                ("--private-pg-tcp", self.private_pg_tcp.is_some()),
            ] {
                if given {
                    return Err(SettingsError::new(format!(
                        "{flag} belongs to the private PostgreSQL, but a database is named by --database-url, \
                         DATABASE_URL, PGHOST or PGSERVICE. Take one of the two away"
                    )));
                }
            }
        }
        self.reads.check(target == Target::Private)?;
        Ok(target)
    }

    /// The database that a supervisor names to its child: never the private one, which is the supervisor's.
    pub fn given(&self) -> Result<Target, SettingsError> {
        let variables = Box::new(pgenv::read_environment()?);
        Ok(Target::Given { url: self.database_url.clone(), variables })
    }

    fn check_driver(&self) -> Result<(), SettingsError> {
        let wrong = match (self.driver, self.dispatch, self.statements) {
            (Driver::Direct, Dispatch::Exclusive, _) => "--dispatch exclusive",
            (Driver::Direct, _, Statements::Unnamed) => "--statements unnamed",
            _ => return Ok(()),
        };
        Err(SettingsError::new(format!(
            "--driver direct does not go with {wrong}: it pipelines statements that it prepared. Take one of the two away"
        )))
    }
}

/// The rule of which database it is, apart from where the values come from.
pub fn resolve_target(url: Option<&str>, variables: PgVariables) -> Target {
    let variables = Box::new(variables);
    match url {
        Some(url) => Target::Given { url: Some(url.to_owned()), variables },
        None if variables.names_a_server() => Target::Given { url: None, variables },
        None => Target::Private,
    }
}

/// A multiplier, or that it is to be found.
fn parse_pool(text: &str) -> Result<PoolPerCore, String> {
    if text == "auto" {
        return Ok(PoolPerCore::Auto);
    }
    let number = parse_pool_per_core(text).map_err(|why| format!("{why}, or auto"))?;
    Ok(PoolPerCore::Fixed(number))
}

/// A multiplier, the most by the rule of thumb where it is to be found.
pub(super) fn parse_most_per_core(text: &str) -> Result<f64, String> {
    match parse_pool(text)? {
        PoolPerCore::Fixed(number) => Ok(number),
        PoolPerCore::Auto => parse_pool_bounds(DEFAULT_POOL_BOUNDS).map(|bounds| bounds.most),
    }
}

/// Two multipliers, the lower one first.
fn parse_pool_bounds(text: &str) -> Result<PoolBounds, String> {
    let parts =
        text.split_once('-').map(|(least, most)| (parse_pool_per_core(least), parse_pool_per_core(most)));
    match parts {
        Some((Ok(least), Ok(most))) if least <= most => Ok(PoolBounds { least, most }),
        _ => Err("must be two numbers above 0 and of 1000 at most, the lower one first, as in 3-6".into()),
    }
}

/// A multiplier above 0 and of 1000 at most.
pub(super) fn parse_pool_per_core(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 && number <= 1000.0 => Ok(number),
        _ => Err("must be a number above 0 and of 1000 at most, as in 4 or 4.5".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_wins_and_keeps_the_variables_for_its_gaps() {
        let variables = PgVariables { host: Some("elsewhere".into()), ..PgVariables::default() };
        let target = resolve_target(Some("postgres://here/db"), variables.clone());
        assert_eq!(
            target,
            Target::Given { url: Some("postgres://here/db".into()), variables: Box::new(variables) }
        );
    }

    #[test]
    fn only_a_host_or_a_service_turns_the_private_postgresql_off() {
        let user =
            PgVariables { user: Some("me".into()), dbname: Some("db".into()), ..PgVariables::default() };
        assert_eq!(resolve_target(None, user), Target::Private);
        let host = PgVariables { host: Some("db1".into()), ..PgVariables::default() };
        assert!(matches!(resolve_target(None, host), Target::Given { url: None, .. }));
        let service = PgVariables { service: Some("prod".into()), ..PgVariables::default() };
        assert!(matches!(resolve_target(None, service), Target::Given { url: None, .. }));
    }

    #[test]
    fn the_multiplier_takes_fractions_and_refuses_nonsense() {
        assert_eq!(parse_pool_per_core("4.5"), Ok(4.5));
        for text in ["0", "-1", "NaN", "inf", "1001", "four", ""] {
            assert!(parse_pool_per_core(text).is_err() && parse_pool(text).is_err(), "{text:?} was taken");
        }
        assert_eq!(parse_pool("auto"), Ok(PoolPerCore::Auto));
    }

    #[test]
    fn bounds_are_two_multipliers_the_lower_one_first() {
        assert_eq!(parse_pool_bounds("3-6"), Ok(PoolBounds { least: 3.0, most: 6.0 }));
        assert_eq!(parse_pool_bounds("0.5-0.5"), Ok(PoolBounds { least: 0.5, most: 0.5 }));
        for text in ["6-3", "3", "3-", "-6", "0-6", "3-6-9", "3-1001", "auto", ""] {
            assert!(parse_pool_bounds(text).is_err(), "{text:?} was taken");
        }
    }
}
