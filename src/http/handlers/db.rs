//! `GET /db`.
//!
//! **Invariant:** one query, of one row, for each request.

use tokio::time::Instant;

use super::super::context::Context;
use super::super::response::{self, HandlerResult};

/// Answers with one random row of `world`.
pub(crate) async fn db(context: &Context, deadline: Instant) -> HandlerResult {
    let world = context.database.random_world(deadline).await?;
    response::json(context, &world)
}
