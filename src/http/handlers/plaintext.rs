//! `GET /plaintext`.
//!
//! **Invariant:** the body is written for each request; nothing holds headers and body together.

use super::super::context::Context;
use super::super::response::{self, Answer};

/// Answers with a greeting in plain text.
pub(crate) fn plaintext(context: &Context) -> Answer {
    response::plain(context, "Hello, World!")
}
