//! Where rows are read when they need not be the primary's, and how old a database connection may become.
//!
//! **Invariant:** only `DATABASE_READ_URL` (or its flag or file key) sends reads elsewhere; a setting of reads without it is refused.

use std::time::Duration;

use super::database::{PgVariables, Target};
use super::duration::{display, parse, parse_or_zero};
use super::layers::SettingsError;
use super::pgenv;

/// How far behind a replica may be, where nobody says.
const DEFAULT_MAX_LAG: Duration = Duration::from_secs(10);

/// Replicas are asked every quarter of a second, and so is the primary: less lag than this cannot be told from none.
const LEAST_MAX_LAG: Duration = Duration::from_secs(1);

/// The least age of a connection: one that is not much older than opening it takes would be opened and closed all the time.
const LEAST_MAX_AGE: Duration = Duration::from_secs(1);

/// The settings on replicas and on the age of connections.
#[derive(Debug, Clone, clap::Args)]
pub struct ReadsArgs {
    /// Read rows here instead: one host or several, as for --database-url; `load_balance_hosts=random` spreads sessions over them, and `target_session_attrs` may be any, read-only, standby or prefer-standby. /updates reads and writes at --database-url in every case [default: reads go where writes do]
    #[arg(long, value_name = "URL", env = "DATABASE_READ_URL", hide_env_values = true)]
    pub database_read_url: Option<String>,
    /// Read from no replica that is further behind the primary than this [default: 10s]
    #[arg(long, value_name = "TIME", env = "PLIMSOLL_MAX_REPLICA_LAG", value_parser = parse_max_lag)]
    pub max_replica_lag: Option<Duration>,
    /// Where rows are read while no host of --database-read-url can be used [default: prefer-replica]
    #[arg(long, env = "PLIMSOLL_READS", value_enum)]
    pub reads: Option<Reads>,
    /// Replace a database connection by a new one when it is so old, give or take a tenth, so that load comes back to a host that was away; 1s at the least, off or 0 for never
    #[arg(long, value_name = "TIME", env = "PLIMSOLL_CONNECTION_MAX_AGE", default_value = "30m", value_parser = parse_max_age)]
    pub connection_max_age: Duration,
}

/// Where rows are read while no replica can be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Reads {
    /// At the primary
    #[default]
    PreferReplica,
    /// Nowhere: such a request is answered with 503
    ReplicaOnly,
}

impl ReadsArgs {
    /// How far behind a replica may be.
    pub fn max_lag(&self) -> Duration {
        self.max_replica_lag.unwrap_or(DEFAULT_MAX_LAG)
    }

    /// Whether reads are refused rather than sent to the primary.
    pub fn are_for_replicas_only(&self) -> bool {
        self.reads.unwrap_or_default() == Reads::ReplicaOnly
    }

    /// How old a connection may become, if there is a limit.
    pub fn max_age(&self) -> Option<Duration> {
        Some(self.connection_max_age).filter(|age| !age.is_zero())
    }

    /// The settings that hold without being given, by name.
    pub fn worked_out(&self) -> [(&'static str, String); 3] {
        [
            ("database-read-url", "reads go where writes do".into()),
            ("max-replica-lag", display(self.max_lag())),
            ("reads", "prefer-replica".into()),
        ]
    }

    /// Refuses settings that mean nothing together.
    pub(super) fn check(&self, is_private: bool) -> Result<(), SettingsError> {
        if self.database_read_url.is_some() && is_private {
            return Err(SettingsError::new(
                "--database-read-url names replicas, but no primary is named: the private PostgreSQL has none. Name the primary by \
                 --database-url, DATABASE_URL, PGHOST or PGSERVICE",
            ));
        }
        for (flag, given) in
            [("--max-replica-lag", self.max_replica_lag.is_some()), ("--reads", self.reads.is_some())]
        {
            if given && self.database_read_url.is_none() {
                return Err(SettingsError::new(format!(
                    "{flag} is about replicas, but none is named. Name them by --database-read-url or DATABASE_READ_URL, or take {flag} away"
                )));
            }
        }
        Ok(())
    }

    /// The replicas, if any are named.
    ///
    /// # Errors
    /// A service that is named and not found.
    pub fn target(&self) -> Result<Option<Target>, SettingsError> {
        target(self.database_read_url.as_deref())
    }
}

/// The replicas of this address. What is said of the primary alone, its host and kind, does not fill what their address leaves open.
///
/// # Errors
/// A service that is named and not found.
pub(super) fn target(url: Option<&str>) -> Result<Option<Target>, SettingsError> {
    let Some(url) = url.map(str::to_owned) else { return Ok(None) };
    let all = pgenv::read_environment()?;
    let variables = PgVariables { host: None, port: None, target_session_attrs: None, service: None, ..all };
    Ok(Some(Target::Given { url: Some(url), variables: Box::new(variables) }))
}

fn parse_max_lag(text: &str) -> Result<Duration, String> {
    let lag = parse(text)?;
    if lag < LEAST_MAX_LAG {
        return Err(
            "must be 1s or longer: hosts are asked four times a second, and less cannot be told from none"
                .into(),
        );
    }
    Ok(lag)
}

fn parse_max_age(text: &str) -> Result<Duration, String> {
    if text == "off" {
        Ok(Duration::ZERO)
    } else {
        let age = parse_or_zero(text).map_err(|why| format!("{why}, or off"))?;
        if !age.is_zero() && age < LEAST_MAX_AGE {
            return Err("must be 1s or longer, or off: opening a connection takes time as well".into());
        }
        Ok(age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_may_be_off_and_a_lag_no_less_than_can_be_told() {
        assert_eq!(parse_max_age("off"), Ok(Duration::ZERO));
        assert_eq!(parse_max_age("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_max_age("1s"), Ok(LEAST_MAX_AGE));
        assert!(parse_max_age("999ms").unwrap_err().contains("1s"));
        assert!(parse_max_age("never").is_err() && parse_max_age("30").is_err());
        assert_eq!(parse_max_lag("1s"), Ok(LEAST_MAX_LAG));
        assert!(parse_max_lag("999ms").unwrap_err().contains("1s"));
    }
}
