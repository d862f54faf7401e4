//! `GET /updates?queries=N`.
//!
//! **Invariant:** what is answered is what was written, before the answer.

use tokio::time::Instant;

use super::super::context::Context;
use super::super::count;
use super::super::response::{self, HandlerResult};

/// Gives 1 to 500 random rows of `world` a new number and answers with them.
pub(crate) async fn updates(query: Option<&str>, context: &Context, deadline: Instant) -> HandlerResult {
    let worlds = context.database.update_worlds(count::read(query, "queries"), deadline).await?;
    response::json(context, &worlds)
}
