//! The first contact: which PostgreSQL this is, and how many connections it has for us.
//!
//! **Invariant:** each question has a connection of its own, and none is on the request path; no row of the service is read.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::config::Config;
use super::connect::{patience, session};
use super::error::trouble;
use super::plan::Room;
use super::pooler;
use super::reach::Trouble;
use super::statements::{FORTUNES, WORLD_BY_ID};

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
             WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND pid <> pg_backend_pid()),
           pg_is_in_recovery()
      FROM pg_roles r, pg_database d
     WHERE r.rolname = current_user AND d.datname = current_database()";

/// What the server said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// As in `15.18`, without the packager's remarks.
    pub version: String,
    /// Connections allowed, reserved and taken.
    pub room: Room,
    /// Whether it follows another.
    pub is_standby: bool,
    /// Whether a pooler stands in between, whose own limits hold for our connections.
    pub is_pooled: bool,
}

/// Connects once and asks; the error is one line for people.
pub(crate) async fn ask(config: &Config) -> Result<Facts, Trouble> {
    connect_and(config, ask_for_facts).await
}

/// Connects once and asks the statements of the service that read for no row, which fails where they would fail. They get no name and
/// are asked one after the other, as behind a transaction pooler.
pub(crate) async fn try_out(config: &Config) -> Result<(), Trouble> {
    let no_row = |statement: &str| format!("SELECT FROM ({statement}) AS asked LIMIT 0");
    let ask = async |client: Client| {
        client.query_typed(&no_row(WORLD_BY_ID), &[(&0_i32, Type::INT4)]).await?;
        client.query_typed(&no_row(FORTUNES), &[]).await.map(drop)
    };
    connect_and(config, ask).await
}

async fn connect_and<T>(
    config: &Config,
    ask: impl AsyncFnOnce(Client) -> Result<T, tokio_postgres::Error>,
) -> Result<T, Trouble> {
    let connect_and_ask = async {
        let (client, connection) = session(config).await?;
        // The connection's own half runs here, beside the question, and ends with it.
        tokio::select! {
            answer = ask(client) => answer.map(Some),
            ended = connection => ended.map(|()| None),
        }
    };
    match tokio::time::timeout(patience(config), connect_and_ask).await {
        Ok(Ok(Some(answer))) => Ok(answer),
        Ok(Ok(None)) => Err(Trouble::away("it closed the connection")),
        Ok(Err(error)) => Err(trouble(&error)),
        Err(_) => Err(Trouble::away("it did not answer in time")),
    }
}

async fn ask_for_facts(client: Client) -> Result<Facts, tokio_postgres::Error> {
    let row = client.query_typed_one(FACTS, &[]).await?;
    let version: &str = row.get(0);
    let limits = [row.get::<_, i32>(1), row.get(3), row.get(4)];
    let limit = limits.into_iter().filter(|limit| *limit >= 0).min().unwrap_or(0);
    let count = |number: i32| u32::try_from(number).unwrap_or(0);
    Ok(Facts {
        version: version.split(' ').next().unwrap_or(version).to_owned(),
        room: Room { limit: count(limit), reserved: count(row.get(2)), taken: count(row.get(5)) },
        is_standby: row.get(6),
        is_pooled: pooler::stands_between(&client, pooler::WHO).await?,
    })
}
