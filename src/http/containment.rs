//! A handler's panic costs its request, and nothing else.
//!
//! **Invariant:** what a handler leaves half done is its own: it holds no borrow of what the worker shares across a wait, and a query that
//! it leaves in a pipeline is left there as that of a client that went.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use super::context::Context;
use super::error::Error;
use crate::telemetry::panics;

/// What the handling gives, or that it panicked.
///
/// The handling is lent, so that a request's future has room for it once and nothing is moved but what it gives.
pub(super) fn contain<T>(
    context: &Context,
    mut handling: Pin<&mut (impl Future<Output = Result<T, Error>> + ?Sized)>,
) -> impl Future<Output = Result<T, Error>> {
    poll_fn(move |cx| {
        catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(cx)))
            .unwrap_or_else(|_| Poll::Ready(Err(panicked(context))))
    })
}

/// The same of one that waits for nothing.
pub(super) fn contain_now<T>(
    context: &Context,
    handle: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(handle)).unwrap_or_else(|_| Err(panicked(context)))
}

#[cold]
fn panicked(context: &Context) -> Error {
    panics::contain(&context.counters);
    Error::Panicked
}
