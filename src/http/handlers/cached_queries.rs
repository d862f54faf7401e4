//! `GET /cached-queries?count=N`.
//!
//! **Invariant:** a row that the cache does not hold is read for the request that needs it; without a database that is a 503.

use tokio::time::Instant;

use super::super::context::Context;
use super::super::count;
use super::super::response::{self, HandlerResult};

/// Answers with 1 to 500 random rows of `world` from the cache.
pub(crate) async fn cached_queries(
    query: Option<&str>,
    context: &Context,
    deadline: Instant,
) -> HandlerResult {
    let worlds = context.database.cached_worlds(count::read(query, "count"), deadline).await?;
    response::json(context, &worlds)
}
