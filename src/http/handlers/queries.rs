//! `GET /queries?queries=N`.
//!
//! **Invariant:** N rows are N queries.

use tokio::time::Instant;

use super::super::context::Context;
use super::super::count;
use super::super::response::{self, HandlerResult};

/// Answers with 1 to 500 random rows of `world`; a missing or odd count reads as 1.
pub(crate) async fn queries(query: Option<&str>, context: &Context, deadline: Instant) -> HandlerResult {
    let worlds = context.database.random_worlds(count::read(query, "queries"), deadline).await?;
    response::json(context, &worlds)
}
