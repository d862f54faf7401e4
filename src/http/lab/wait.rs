//! `GET /lab/wait?ms=N`: what a request does that waits for another machine.
//!
//! **Invariant:** the worker serves others meanwhile; the wait is a timer of its event loop, exact to a millisecond.

use std::time::Duration;

use hyper::StatusCode;
use serde::Serialize;

use super::super::context::Context;
use super::super::response::{self, HandlerResult};

/// The longest wait, in milliseconds.
const LONGEST: u32 = 60_000;

#[derive(Serialize)]
struct Waited {
    waited_ms: u32,
}

/// Answers after N milliseconds, 0 to 60 000.
pub(super) async fn wait(query: Option<&str>, context: &Context) -> HandlerResult {
    let Some(waited_ms) = super::number(query, "ms", &(0..=LONGEST)) else {
        let why = "ms is a whole number of milliseconds, 0 to 60000, as in /lab/wait?ms=10\n";
        return Ok(response::text(StatusCode::BAD_REQUEST, why));
    };
    tokio::time::sleep(Duration::from_millis(waited_ms.into())).await;
    response::json(context, &Waited { waited_ms })
}
