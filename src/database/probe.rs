//! The first contact: which PostgreSQL this is, and how many connections it has for us.
//!
//! **Invariant:** asked once, on a connection of its own, and never on the request path; it reads no table of the service.

use super::config::Config;
use super::connect::{patience, session};
use super::error::describe;
use super::plan::Room;

/// Limits of the server, the role and the database (-1 for none), what is kept back, and what is taken. A superuser may
/// use the reserved ones too. `reserved_connections` exists from PostgreSQL 16 on. Of other roles' sessions an ordinary role
/// sees the database and user, not the type.
const FACTS: &str = "
    SELECT current_setting('server_version'),
           current_setting('max_connections')::int4,
           CASE WHEN r.rolsuper THEN 0
                ELSE current_setting('superuser_reserved_connections')::int4
                   + coalesce(current_setting('reserved_connections', true)::int4, 0) END,
           CASE WHEN r.rolsuper THEN -1 ELSE r.rolconnlimit END,
           CASE WHEN r.rolsuper THEN -1 ELSE d.datconnlimit END,
           (SELECT count(*)::int4 FROM pg_stat_activity
             WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND pid <> pg_backend_pid())
      FROM pg_roles r, pg_database d
     WHERE r.rolname = current_user AND d.datname = current_database()";

/// What the server said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// As in `15.18`, without the packager's remarks.
    pub version: String,
    /// Connections allowed, reserved and taken.
    pub room: Room,
}

/// Connects once and asks; the error is one line for people.
pub async fn ask(config: &Config) -> Result<Facts, String> {
    match tokio::time::timeout(patience(config), connect_and_ask(config)).await {
        Ok(answer) => answer,
        Err(_) => Err("it did not answer in time".into()),
    }
}

async fn connect_and_ask(config: &Config) -> Result<Facts, String> {
    let (client, connection) = session(config).await.map_err(|error| describe(&error))?;
    let ask = async {
        let row = client.query_typed_one(FACTS, &[]).await.map_err(|error| describe(&error))?;
        let version: &str = row.get(0);
        let limits = [row.get::<_, i32>(1), row.get(3), row.get(4)];
        let limit = limits.into_iter().filter(|limit| *limit >= 0).min().unwrap_or(0);
        let count = |number: i32| u32::try_from(number).unwrap_or(0);
        Ok(Facts {
            version: version.split(' ').next().unwrap_or(version).to_owned(),
            room: Room { limit: count(limit), reserved: count(row.get(2)), taken: count(row.get(5)) },
        })
    };
    // The connection's own half runs here, beside the question, and ends with it.
    tokio::select! {
        answer = ask => answer,
        ended = connection => Err(ended.err().map_or_else(|| "it closed the connection".into(), |e| describe(&e))),
    }
}
