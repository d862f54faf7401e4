//! Makes and fills the tables in a database that somebody runs; the library half of `plimsoll init-db`.
//!
//! **Invariant:** one connection, closed when this returns.

use super::config::Config;
use super::connect::{patience, session};
use super::error::describe;
use super::schema::{self, Report, SchemaError};

/// Why the tables were not made.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// The server did not let us in.
    #[error("the database is not reached: {0}")]
    Unreached(String),
    /// The tables are not ours, or PostgreSQL refused to make them.
    #[error(transparent)]
    Refused(#[from] SchemaError),
}

/// Connects, loads schema and rows, and says what was done.
pub async fn fill(config: &Config) -> Result<Report, FillError> {
    let reached = tokio::time::timeout(patience(config), session(config)).await;
    let reached = reached.map_err(|_| FillError::Unreached("it did not answer in time".into()))?;
    let (mut client, connection) = reached.map_err(|error| FillError::Unreached(describe(&error)))?;
    tokio::select! {
        outcome = schema::load(&mut client) => Ok(outcome?),
        // The driver's half ends first only if the connection is lost.
        ended = connection => Err(FillError::Unreached(match ended {
            Ok(()) => "it closed the connection".into(),
            Err(error) => describe(&error),
        })),
    }
}
