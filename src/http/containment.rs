//! A handler's panic costs its request, and nothing else.
//!
//! **Invariant:** what a handler leaves half done is its own: it holds no borrow of what the worker shares across a wait, and a query that
//! it leaves in a pipeline is left there as that of a client that went.

use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt as _, TryFutureExt as _};

use super::context::Context;
use super::error::Error;
use crate::telemetry::panics;

/// What the handling gives, or that it panicked.
///
/// No `async fn`: that would have room for what it is given twice, before and while it is polled, in every request's future.
pub(super) fn contain<F: Future>(
    context: &Context,
    handling: F,
) -> impl Future<Output = Result<F::Output, Error>> {
    AssertUnwindSafe(handling).catch_unwind().map_err(|_| {
        panics::contain(&context.counters);
        Error::Panicked
    })
}
