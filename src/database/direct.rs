//! The service's queries past the driver: encoded into the connection's stream, their rows copied once out of it.
//!
//! What the driver does for a query, a channel, a task's wake and a dozen allocations, is done once for all queries of a request.
//! What PostgreSQL sees is the same: a prepared statement, and for each query a Bind, an Execute and a Sync of its own.
//!
//! **Invariant:** opening, authentication and the pool stay the driver's; nothing here knows of sockets.

use std::num::NonZeroU32;

use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend::{self, BindError};
use postgres_protocol::types::{self, ArrayDimension};
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::error::Error;
use super::lanes::{Work, Works};
use super::statements::{FORTUNES, UPDATE_WORLDS, WORLD_BY_ID};
use super::wire::{Pipeline, Row, Rows};
use super::world::World;

/// What the statements are called on the connection.
const WORLD_BY_ID_NAME: &str = "w";
const FORTUNES_NAME: &str = "f";
const UPDATE_WORLDS_NAME: &str = "u";
/// About what a row of `world` takes, and all of `fortune`.
const WORLD_ROOM: usize = 24;
const FORTUNES_ROOM: usize = 1024;
/// Parameters and columns in binary form.
const BINARY: [i16; 1] = [1];

/// One connection's prepared statements.
pub(super) struct Direct {
    pipeline: Pipeline,
    world_by_id: OnceCell<()>,
    fortunes: OnceCell<()>,
    update_worlds: OnceCell<()>,
}

impl Direct {
    /// Prepares the statements on a fresh connection. The driver prepares those with columns first, to see that the tables have what
    /// is read from them; its own statements go again. But those that `held` work needs are prepared for their first query.
    pub(super) async fn prepare(client: &Client, pipeline: Pipeline, held: Works) -> Result<Self, Error> {
        let direct = Self {
            pipeline,
            world_by_id: OnceCell::new(),
            fortunes: OnceCell::new(),
            update_worlds: OnceCell::new(),
        };
        if !held.has(Work::Read) {
            direct.prepare_world_by_id(client).await?;
        }
        if !held.has(Work::Fortunes) {
            direct.prepare_fortunes(client).await?;
        }
        if !held.has(Work::Write) {
            direct.prepare_update_worlds().await?;
        }
        Ok(direct)
    }

    async fn prepare_world_by_id(&self, client: &Client) -> Result<(), Error> {
        let prepare = || async {
            check_columns(client, WORLD_BY_ID, &[is_number, is_number]).await?;
            self.parse(WORLD_BY_ID_NAME, WORLD_BY_ID).await
        };
        self.world_by_id.get_or_try_init(prepare).await.copied()
    }

    async fn prepare_fortunes(&self, client: &Client) -> Result<(), Error> {
        let prepare = || async {
            check_columns(client, FORTUNES, &[is_number, is_text]).await?;
            self.parse(FORTUNES_NAME, FORTUNES).await
        };
        self.fortunes.get_or_try_init(prepare).await.copied()
    }

    async fn prepare_update_worlds(&self) -> Result<(), Error> {
        self.update_worlds.get_or_try_init(|| self.parse(UPDATE_WORLDS_NAME, UPDATE_WORLDS)).await.copied()
    }

    async fn parse(&self, name: &str, text: &str) -> Result<(), Error> {
        let parse = |out: &mut BytesMut| {
            // Neither holds a zero byte, which is all that could be refused.
            let _ = frontend::parse(name, text, [], out);
            frontend::sync(out);
        };
        match self.pipeline.ask(NonZeroU32::MIN, 0, parse)?.await {
            // A request that went away while PostgreSQL held it up had asked for the same, and the answer came after it had gone.
            Err(error) if error.is_prepared_already() => Ok(()),
            parsed => parsed.map(drop),
        }
    }

    /// The row of `world` with this id.
    pub(super) async fn world(&self, client: &Client, id: i32) -> Result<World, Error> {
        if !self.world_by_id.initialized() {
            Box::pin(self.prepare_world_by_id(client)).await?;
        }
        let rows = self.pipeline.ask(NonZeroU32::MIN, WORLD_ROOM, |out| ask_for_world(id, out))?.await?;
        rows.iter().next().ok_or(Error::MissingRow).and_then(world)
    }

    /// The rows of `world` with these ids, in their order.
    pub(super) async fn worlds(&self, client: &Client, ids: &[i32]) -> Result<Vec<World>, Error> {
        // At most 500 by the route's rule.
        let Some(queries) = u32::try_from(ids.len()).ok().and_then(NonZeroU32::new) else {
            return Ok(Vec::new());
        };
        if !self.world_by_id.initialized() {
            Box::pin(self.prepare_world_by_id(client)).await?;
        }
        let ask = |out: &mut BytesMut| ids.iter().for_each(|id| ask_for_world(*id, out));
        let rows = self.pipeline.ask(queries, ids.len() * WORLD_ROOM, ask)?.await?;
        if rows.len() != ids.len() {
            return Err(Error::MissingRow);
        }
        let mut worlds = Vec::with_capacity(ids.len());
        for row in rows.iter() {
            worlds.push(world(row)?);
        }
        Ok(worlds)
    }

    /// All rows of `fortune`.
    pub(super) async fn fortunes(&self, client: &Client) -> Result<Rows, Error> {
        if !self.fortunes.initialized() {
            Box::pin(self.prepare_fortunes(client)).await?;
        }
        self.pipeline.ask(NonZeroU32::MIN, FORTUNES_ROOM, |out| query(FORTUNES_NAME, &[], out))?.await
    }

    /// Writes new numbers; `ids` are distinct and ascending.
    pub(super) async fn update_worlds(&self, ids: &[i32], numbers: &[i32]) -> Result<(), Error> {
        if !self.update_worlds.initialized() {
            Box::pin(self.prepare_update_worlds()).await?;
        }
        let parameters = [Parameter::Numbers(ids), Parameter::Numbers(numbers)];
        let ask = |out: &mut BytesMut| query(UPDATE_WORLDS_NAME, &parameters, out);
        self.pipeline.ask(NonZeroU32::MIN, 0, ask)?.await.map(drop)
    }
}

/// Whether the statement gives columns of these kinds.
async fn check_columns(client: &Client, text: &str, kinds: &[fn(&Type) -> bool]) -> Result<(), Error> {
    let statement = client.prepare(text).await?;
    let columns = statement.columns();
    let fit = columns.iter().zip(kinds).all(|(column, is_kind)| is_kind(column.type_()));
    if fit && columns.len() == kinds.len() { Ok(()) } else { Err(Error::Malformed) }
}

fn is_number(of: &Type) -> bool {
    *of == Type::INT4
}

fn is_text(of: &Type) -> bool {
    [Type::TEXT, Type::VARCHAR, Type::BPCHAR].contains(of)
}

fn world(mut row: Row<'_>) -> Result<World, Error> {
    Ok(World { id: row.int4()?, random_number: row.int4()? })
}

fn ask_for_world(id: i32, out: &mut BytesMut) {
    query(WORLD_BY_ID_NAME, &[Parameter::Number(id)], out);
}

/// What a statement of ours is given.
#[derive(Clone, Copy)]
enum Parameter<'a> {
    Number(i32),
    Numbers(&'a [i32]),
}

impl Parameter<'_> {
    fn encode(self, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Number(number) => types::int4_to_sql(number, out),
            Self::Numbers(numbers) => {
                let dimension = ArrayDimension { len: i32::try_from(numbers.len())?, lower_bound: 1 };
                let encode = |number: &i32, out: &mut BytesMut| {
                    types::int4_to_sql(*number, out);
                    Ok(IsNull::No)
                };
                types::array_to_sql([dimension], Type::INT4.oid(), numbers, encode, out)?;
            }
        }
        Ok(IsNull::No)
    }
}

/// Bind, Execute and Sync. What the encoders could refuse, zero bytes in names and more than 2 GiB, does not come here.
fn query(statement: &str, parameters: &[Parameter<'_>], out: &mut BytesMut) {
    let encode = |parameter: &Parameter<'_>, out: &mut BytesMut| parameter.encode(out);
    let _: Result<(), BindError> = frontend::bind("", statement, BINARY, parameters, encode, BINARY, out);
    let _ = frontend::execute("", 0, out);
    frontend::sync(out);
}
