//! `GET /lab/burn?bits=N`: what a request does that computes.
//!
//! **Invariant:** a request waits for the side pool no longer than its deadline, and then no thread works for it.

use hyper::StatusCode;
use tokio::time::Instant;

use super::super::context::Context;
use super::super::response::{self, Answer, Extra, HandlerResult};
use super::Lab;
use super::proof::{Proof, Task};

/// The most zero bits: 16 777 216 tries on the average, some seconds of one core.
const MOST_BITS: u32 = 24;

/// Answers with a nonce whose hash begins with N zero bits, 0 to 24; 2ᴺ tries on the average.
pub(super) async fn burn(
    query: Option<&str>,
    lab: &Lab,
    context: &Context,
    deadline: Instant,
) -> HandlerResult {
    let Some(bits) = super::number(query, "bits", &(0..=MOST_BITS)) else {
        let why = "bits is a number of zero bits, 0 to 24, as in /lab/burn?bits=12\n";
        return Ok(response::text(StatusCode::BAD_REQUEST, why));
    };
    let task = Task::draw(bits);
    let Some(side_pool) = &lab.side_pool else {
        return answer(context, task.search(|| true).as_ref());
    };
    let Some(found) = side_pool.submit(task) else {
        return Ok(unavailable("the side pool has as much to do as it may have\n"));
    };
    match tokio::time::timeout_at(deadline, found).await {
        Ok(found) => answer(context, found.ok().flatten().as_ref()),
        Err(_) => Ok(unavailable("the side pool did not come to it in time\n")),
    }
}

fn answer(context: &Context, found: Option<&Proof>) -> HandlerResult {
    match found {
        Some(proof) => response::json(context, proof),
        None => Ok(unavailable("no proof was found\n")),
    }
}

fn unavailable(why: &'static str) -> Answer {
    response::text(StatusCode::SERVICE_UNAVAILABLE, why).with(Extra::RetryAfter)
}
