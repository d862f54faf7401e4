//! `GET /json`.
//!
//! **Invariant:** the object is made and serialised for each request.

use serde::Serialize;

use super::super::context::Context;
use super::super::response::{self, HandlerResult};

#[derive(Serialize)]
struct Greeting<'a> {
    message: &'a str,
}

/// Answers with a greeting.
pub(crate) fn json(context: &Context) -> HandlerResult {
    response::json(context, &Greeting { message: "Hello, World!" })
}
