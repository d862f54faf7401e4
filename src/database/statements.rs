//! The four statements of the service, prepared once for each database connection.
//!
//! **Invariant:** a query is one Bind, one Execute and one Sync of its own; nothing is batched behind a shared Sync.

use deadpool_postgres::ClientWrapper;
use tokio::sync::OnceCell;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Statement};

use super::direct::Direct;
use super::error::Error;
use super::fortune::{FortuneRows, Source};
use super::lanes::{Work, Works};
use super::world::World;
use crate::config::database::Statements as Mode;

/// One row of `world` by its id.
pub(super) const WORLD_BY_ID: &str = include_str!("../../sql/queries/world_by_id.sql");
/// All rows of `fortune`.
pub(super) const FORTUNES: &str = include_str!("../../sql/queries/fortunes.sql");
/// New numbers for many rows of `world`, in one statement.
pub(super) const UPDATE_WORLDS: &str = include_str!("../../sql/queries/update_worlds.sql");
/// A new number for one row of `world`.
const UPDATE_WORLD: &str = include_str!("../../sql/queries/update_world.sql");

/// How one connection's statements are named.
pub(super) enum Statements {
    /// Prepared on this connection.
    Cached { world_by_id: Prepared, fortunes: Prepared, update_worlds: Prepared },
    /// Parsed anew each time: behind a transaction pooler the next query may meet another server process.
    Unnamed,
    /// Prepared on this connection, and sent past the driver.
    Direct(Direct),
}

/// A statement of one connection, prepared as it is opened, or else for the first query.
pub(super) struct Prepared {
    text: &'static str,
    statement: OnceCell<Statement>,
}

impl Prepared {
    async fn new(client: &ClientWrapper, text: &'static str, later: bool) -> Result<Self, Error> {
        let statement = if later { None } else { Some(client.prepare_cached(text).await?) };
        Ok(Self { text, statement: OnceCell::new_with(statement) })
    }

    async fn get(&self, client: &Client) -> Result<&Statement, Error> {
        match self.statement.get() {
            Some(statement) => Ok(statement),
            None => Ok(self.statement.get_or_try_init(|| client.prepare(self.text)).await?),
        }
    }
}

impl Statements {
    /// Prepares what this connection will need, or finds it prepared; what work that is `held` needs is prepared later.
    pub(super) async fn prepare(client: &ClientWrapper, mode: Mode, held: Works) -> Result<Self, Error> {
        if mode == Mode::Unnamed {
            return Ok(Self::Unnamed);
        }
        let (world_by_id, fortunes, update_worlds) = tokio::try_join!(
            Prepared::new(client, WORLD_BY_ID, held.has(Work::Read)),
            Prepared::new(client, FORTUNES, held.has(Work::Fortunes)),
            Prepared::new(client, UPDATE_WORLDS, held.has(Work::Write)),
        )?;
        Ok(Self::Cached { world_by_id, fortunes, update_worlds })
    }

    /// The row of `world` with this id.
    pub(super) async fn world(&self, client: &Client, id: i32) -> Result<World, Error> {
        let row = match self {
            Self::Cached { world_by_id, .. } => {
                client.query_opt(world_by_id.get(client).await?, &[&id]).await?
            }
            Self::Unnamed => client.query_typed_opt(WORLD_BY_ID, &[(&id, Type::INT4)]).await?,
            Self::Direct(direct) => return direct.world(client, id).await,
        };
        let row = row.ok_or(Error::MissingRow)?;
        Ok(World { id: row.try_get(0)?, random_number: row.try_get(1)? })
    }

    /// The rows of `world` with these ids, in their order: a query each, all in flight together.
    pub(super) async fn worlds(&self, client: &Client, ids: &[i32]) -> Result<Vec<World>, Error> {
        match self {
            Self::Direct(direct) => direct.worlds(client, ids).await,
            _ => futures_util::future::try_join_all(ids.iter().map(|id| self.world(client, *id))).await,
        }
    }

    /// All rows of `fortune`, in no order.
    pub(super) async fn fortunes(&self, client: &Client) -> Result<FortuneRows, Error> {
        Ok(FortuneRows(match self {
            Self::Cached { fortunes, .. } => {
                Source::Driver(client.query(fortunes.get(client).await?, &[]).await?)
            }
            Self::Unnamed => Source::Driver(client.query_typed(FORTUNES, &[]).await?),
            Self::Direct(direct) => Source::Direct(direct.fortunes(client).await?),
        }))
    }

    /// Writes new numbers; `ids` are distinct and ascending, so that concurrent requests lock rows in one order.
    pub(super) async fn update_worlds(
        &self,
        client: &Client,
        ids: &[i32],
        numbers: &[i32],
    ) -> Result<(), Error> {
        match self {
            Self::Cached { update_worlds, .. } => {
                client.execute(update_worlds.get(client).await?, &[&ids, &numbers]).await?;
            }
            // An unnamed statement's plan is always a custom one, and with it the array form deadlocks (see `connect`): one
            // pipelined UPDATE for each row, in id order.
            Self::Unnamed => {
                let one = |(id, number): (&i32, &i32)| update_one(client, *id, *number);
                futures_util::future::try_join_all(ids.iter().zip(numbers).map(one)).await?;
            }
            Self::Direct(direct) => direct.update_worlds(ids, numbers).await?,
        }
        Ok(())
    }
}

async fn update_one(client: &Client, id: i32, number: i32) -> Result<(), Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&id, Type::INT4), (&number, Type::INT4)];
    client.execute_typed(UPDATE_WORLD, &parameters).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_update_does_not_hold_the_word_that_the_toolset_counts_reads_by() {
        for text in [UPDATE_WORLDS, UPDATE_WORLD] {
            assert!(!text.to_ascii_lowercase().contains("select"), "{text}");
        }
    }

    #[test]
    fn fortunes_are_sorted_by_the_service_and_not_by_the_statement() {
        assert!(!FORTUNES.to_ascii_lowercase().contains("order by"));
    }
}
