//! A handler's panic costs its request, and nothing else.
//!
//! **Invariant:** what a handler leaves half done is its own: it holds no borrow of what the worker shares across a wait, and a query that
//! it leaves in a pipeline is left there as that of a client that went.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use super::error::Error;
use crate::telemetry::counters::WorkerCounters;
use crate::telemetry::panics;

/// What the handling gives, or that it panicked.
///
/// The handling is lent, so that a request's future has room for it once and nothing is moved but what it gives.
pub(super) fn contain<T>(
    counters: &WorkerCounters,
    mut handling: Pin<&mut (impl Future<Output = Result<T, Error>> + ?Sized)>,
) -> impl Future<Output = Result<T, Error>> {
    poll_fn(move |cx| {
        catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(cx)))
            .unwrap_or_else(|_| Poll::Ready(Err(panicked(counters))))
    })
}

/// The same of one that waits for nothing.
pub(super) fn contain_now<T>(
    counters: &WorkerCounters,
    handle: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(handle)).unwrap_or_else(|_| Err(panicked(counters)))
}

#[cold]
fn panicked(counters: &WorkerCounters) -> Error {
    panics::contain(counters);
    Error::Panicked
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    fn panic_as_asked() -> Result<u8, Error> {
        panic!("as the test asks")
    }

    #[test]
    fn a_handler_that_waits_for_nothing_and_panics_gives_an_error_and_is_counted() {
        let counters = WorkerCounters::default();
        assert_eq!(contain_now(&counters, || Ok(7)).unwrap(), 7);
        assert_eq!(counters.panics.read(), 0);
        assert!(matches!(contain_now(&counters, panic_as_asked), Err(Error::Panicked)));
        assert_eq!(counters.panics.read(), 1);
    }

    #[test]
    fn a_handler_that_panics_when_it_goes_on_gives_an_error_and_is_counted() {
        let counters = WorkerCounters::default();
        let handling = pin!(async {
            tokio::task::yield_now().await;
            panic_as_asked()
        });
        let mut contained = pin!(contain(&counters, handling));
        assert!(contained.as_mut().now_or_never().is_none(), "it waits first");
        assert_eq!(counters.panics.read(), 0);
        assert!(matches!(contained.now_or_never(), Some(Err(Error::Panicked))));
        assert_eq!(counters.panics.read(), 1);
    }
}
