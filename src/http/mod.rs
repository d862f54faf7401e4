//! One request in, one response out.
//!
//! [`router`] refuses what is not well framed ([`framing`]), finds the route, and calls its handler ([`handlers`], one file
//! a route); [`containment`] keeps a panic to its request, [`response`] makes the answer, [`body`] holds its bytes, [`error`] decides the status of a failure. [`Context`] is
//! what a worker's handlers share. [`lab`] holds the routes that `--lab` adds.
//!
//! **Invariant:** nothing here touches a socket, and nothing here is shared between workers but the side pool of [`lab`], with `--lab`.

mod body;
mod containment;
mod context;
mod count;
mod date;
pub mod error;
mod framing;
mod handlers;
mod lab;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;
mod response;
mod router;
mod underway;

pub(crate) use body::Body;
pub(crate) use context::Context;
pub(crate) use date::DateClock;
pub(crate) use lab::{Lab, body_length};
pub(crate) use response::SERVER_NAME;
pub(crate) use router::respond;
