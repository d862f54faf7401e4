//! `GET /lab/panic?in=PLACE`: what a fault of ours does.
//!
//! **Invariant:** the panic is real, and met where it is asked for: by the handler, by the connection's task as it reads the head, or by
//! a task of the worker's own.

use hyper::StatusCode;

use super::super::response::{self, HandlerResult};

/// The route.
pub(super) const PATH: &str = "/lab/panic";

/// The head of a request by which a connection's task panics, before anything is made of it.
const ON_THE_WAY: &[u8] = b"GET /lab/panic?in=connection ";

/// Panics there; `in` is `handler`, `connection` or `worker`.
pub(super) async fn panic(query: Option<&str>) -> HandlerResult {
    match query {
        Some("in=handler") => panic!("/lab/panic was asked for, in a handler"),
        Some("in=worker") => {
            tokio::task::spawn_local(async { panic!("/lab/panic was asked for, in a task of the worker") });
            // The worker ends, and this request with it.
            std::future::pending().await
        }
        _ => {
            let why = "in is handler, connection or worker, as in /lab/panic?in=handler\n";
            Ok(response::text(StatusCode::BAD_REQUEST, why))
        }
    }
}

/// Panics in a connection's task, if this head asks for it.
pub(super) fn look_at(head: &[u8]) {
    assert!(!head.starts_with(ON_THE_WAY), "/lab/panic was asked for, in a connection");
}
