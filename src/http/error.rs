//! From a failure to a status: the only place that decides it.
//!
//! **Invariant:** what failed because of the database answers 503 with `Retry-After`, and the connection stays usable.

use hyper::StatusCode;

use super::context::Context;
use super::response::{self, Answer, Extra};
use crate::database;

/// Why a handler has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database did not answer, or not with rows.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The answer could not be written; a fault of ours.
    #[error("the answer could not be rendered: {0}")]
    Rendering(Box<dyn std::error::Error>),
    /// The handler panicked; a fault of ours, of which the log tells where.
    #[error("the handler panicked")]
    Panicked,
}

impl Error {
    pub(super) fn rendering(error: impl std::error::Error + 'static) -> Self {
        Self::Rendering(Box::new(error))
    }

    /// The answer that stands for this failure; logs it where nothing else has.
    pub(super) fn into_answer(self, context: &Context) -> Answer {
        match self {
            Self::Database(error) => {
                // What PostgreSQL is or refuses is logged where it is noticed, once for each change.
                if matches!(error, database::Error::Overloaded) && context.may_log() {
                    tracing::warn!("{error}; answered 503");
                }
                let text = if matches!(error, database::Error::NoReplica) {
                    "no replica of the database is available to read from\n"
                } else {
                    "the database is not available\n"
                };
                response::text(StatusCode::SERVICE_UNAVAILABLE, text).with(Extra::RetryAfter)
            }
            Self::Panicked => {
                response::text(StatusCode::INTERNAL_SERVER_ERROR, "the request met a fault of the service\n")
            }
            Self::Rendering(_) => {
                if context.may_log() {
                    tracing::error!("{self}; answered 500");
                }
                response::text(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be rendered\n")
            }
        }
    }
}
