//! The four statements of the service, prepared once for each database connection.
//!
//! **Invariant:** a query is one Bind, one Execute and one Sync of its own; nothing is batched behind a shared Sync.

use std::pin::Pin;

use deadpool_postgres::ClientWrapper;
use futures_util::future::try_join_all;
use tokio::sync::OnceCell;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};

use super::direct::Direct;
use super::error::Error;
use super::fortune::{FortuneRows, Source};
use super::lanes::{Work, Works};
use super::turns::{Turn, Turns};
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
    /// Parsed anew each time: behind a transaction pooler the next query may meet another server process, and there they take turns.
    Unnamed(Option<Turns>),
    /// Prepared on this connection, and sent past the driver.
    Direct(Direct),
}

/// A statement of one connection, prepared as it is opened, or else for the first query.
pub(super) struct Prepared {
    text: &'static str,
    statement: OnceCell<Statement>,
}

/// A statement that is being prepared.
type Making<'a> = Pin<Box<dyn Future<Output = Result<&'a Statement, Error>> + 'a>>;

impl Prepared {
    async fn new(client: &ClientWrapper, text: &'static str, later: bool) -> Result<Self, Error> {
        let statement = if later { None } else { Some(client.prepare_cached(text).await?) };
        Ok(Self { text, statement: OnceCell::new_with(statement) })
    }

    /// The statement, if it is prepared, as it nearly always is.
    fn get(&self) -> Option<&Statement> {
        self.statement.get()
    }

    /// The statement, prepared now. Boxed, so that the future of a query has no room for this.
    fn make<'a>(&'a self, client: &'a Client) -> Making<'a> {
        Box::pin(async { Ok(self.statement.get_or_try_init(|| client.prepare(self.text)).await?) })
    }
}

impl Statements {
    /// Prepares what this connection will need, or finds it prepared; what work that is `held` needs is prepared later.
    pub(super) async fn prepare(
        client: &ClientWrapper,
        mode: Mode,
        is_pooled: bool,
        held: Works,
    ) -> Result<Self, Error> {
        if mode == Mode::Unnamed {
            return Ok(Self::Unnamed(is_pooled.then(Turns::default)));
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
        match self {
            Self::Cached { world_by_id, .. } => {
                let statement = match world_by_id.get() {
                    Some(statement) => statement,
                    None => world_by_id.make(client).await?,
                };
                world(client.query_opt(statement, &[&id]).await?)
            }
            Self::Unnamed(turns) => read_world_unnamed(turns.as_ref(), client, id).await,
            Self::Direct(direct) => direct.world(client, id).await,
        }
    }

    /// The rows of `world` with these ids, in their order: a query each, all in flight together.
    pub(super) async fn worlds(&self, client: &Client, ids: &[i32]) -> Result<Vec<World>, Error> {
        match self {
            Self::Cached { world_by_id, .. } => {
                let statement = match world_by_id.get() {
                    Some(statement) => statement,
                    None => world_by_id.make(client).await?,
                };
                try_join_all(ids.iter().map(|id| read_world(client, statement, *id))).await
            }
            Self::Unnamed(turns) => {
                let read = |id: &i32| read_world_unnamed(turns.as_ref(), client, *id);
                try_join_all(ids.iter().map(read)).await
            }
            Self::Direct(direct) => direct.worlds(client, ids).await,
        }
    }

    /// All rows of `fortune`, in no order.
    pub(super) async fn fortunes(&self, client: &Client) -> Result<FortuneRows, Error> {
        Ok(FortuneRows(match self {
            Self::Cached { fortunes, .. } => {
                let statement = match fortunes.get() {
                    Some(statement) => statement,
                    None => fortunes.make(client).await?,
                };
                Source::Driver(client.query(statement, &[]).await?)
            }
            Self::Unnamed(turns) => {
                let turn = begin(turns.as_ref(), client).await?;
                let rows = client.query_typed(FORTUNES, &[]).await;
                end(turn);
                Source::Driver(rows?)
            }
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
                let statement = match update_worlds.get() {
                    Some(statement) => statement,
                    None => update_worlds.make(client).await?,
                };
                client.execute(statement, &[&ids, &numbers]).await?;
            }
            // An unnamed statement's plan is always a custom one, and with it the array form deadlocks (see `connect`): one
            // UPDATE for each row, in id order, pipelined where that may be.
            Self::Unnamed(turns) => {
                let one = |(id, number): (&i32, &i32)| update_one(turns.as_ref(), client, *id, *number);
                try_join_all(ids.iter().zip(numbers).map(one)).await?;
            }
            Self::Direct(direct) => direct.update_worlds(ids, numbers).await?,
        }
        Ok(())
    }
}

async fn read_world(client: &Client, statement: &Statement, id: i32) -> Result<World, Error> {
    world(client.query_opt(statement, &[&id]).await?)
}

async fn read_world_unnamed(turns: Option<&Turns>, client: &Client, id: i32) -> Result<World, Error> {
    let turn = begin(turns, client).await?;
    let row = client.query_typed_opt(WORLD_BY_ID, &[(&id, Type::INT4)]).await;
    end(turn);
    world(row?)
}

/// Waits for a turn where they are taken.
async fn begin<'a>(turns: Option<&'a Turns>, client: &'a Client) -> Result<Option<Turn<'a>>, Error> {
    Ok(match turns {
        Some(turns) => Some(turns.begin(client).await?),
        None => None,
    })
}

/// Ends it, if there is one, before the answer is looked at.
fn end(turn: Option<Turn<'_>>) {
    if let Some(turn) = turn {
        turn.end();
    }
}

fn world(row: Option<Row>) -> Result<World, Error> {
    let row = row.ok_or(Error::MissingRow)?;
    Ok(World { id: row.try_get(0)?, random_number: row.try_get(1)? })
}

async fn update_one(turns: Option<&Turns>, client: &Client, id: i32, number: i32) -> Result<(), Error> {
    let turn = begin(turns, client).await?;
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&id, Type::INT4), (&number, Type::INT4)];
    let written = client.execute_typed(UPDATE_WORLD, &parameters).await;
    end(turn);
    written?;
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
