//! Step 5 of 7, router: from a request to the handler of its route.
//!
//! **Invariant:** a request whose frame is in doubt reaches no handler, and is the last one on its connection.
//!
//! Before: [`crate::server`]'s connection. After: one of [`super::handlers`].

use std::pin::{Pin, pin};

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use tokio::time::Instant;

use super::containment::{contain, contain_now};
use super::context::Context;
use super::framing::Framing;
use super::handlers;
use super::lab;
use super::response::{self, Answer, Extra, HandlerResult};
use super::underway::Underway;
use crate::telemetry::labels::Route;

/// The route of a path.
pub(super) fn route_of(path: &str) -> Route {
    match path {
        "/json" => Route::Json,
        "/plaintext" => Route::Plaintext,
        "/db" => Route::Db,
        "/queries" => Route::Queries,
        "/updates" => Route::Updates,
        "/fortunes" => Route::Fortunes,
        "/cached-queries" => Route::CachedQueries,
        _ => Route::Other,
    }
}

/// Answers one request, whose waits count from when it `begun`. It is counted as begun, or as unframed where it gets no further.
pub(crate) async fn respond(request: &mut Request<Incoming>, context: &Context, begun: Instant) -> Answer {
    let framing = Framing::of(request);
    if let Some(why) = framing.refuse_host(request.version()) {
        return refuse(why).on(Route::Unframed);
    }
    let underway = Underway::begin(&context.counters);
    let body = framing.has_body;
    let path = request.uri().path();
    if let Some(lab) = &context.lab
        && let Some(route) = lab::Route::of(path)
    {
        // Boxed, so that every other request's future stays as small as it is; and by a table, so that its code is no part of theirs.
        let mut handling: Pin<Box<dyn Future<Output = HandlerResult> + '_>> =
            Box::pin(async { Ok(lab::respond(route, lab, request, context, begun).await) });
        let answer = contain(&context.counters, handling.as_mut()).await;
        underway.end();
        let answer = answer.unwrap_or_else(|error| {
            let answer = error.into_answer(context);
            if body { answer.closing() } else { answer }
        });
        return answer.on(Route::Lab);
    }
    let route = route_of(path);
    let answer = match (route, request.method()) {
        (Route::Other, &Method::OPTIONS) if path == "*" => options(),
        // The asterisk form with another method, or the authority form, which is for proxies (RFC 9112, sections 3.2.3 and 3.2.4).
        (Route::Other, _) if !path.starts_with('/') => {
            refuse("the request target is no path of this server\n")
        }
        (Route::Other, _) => no_such_route(),
        (_, &Method::GET | &Method::HEAD) if body => refuse("this request takes no body"),
        (route, &Method::GET | &Method::HEAD) => {
            // What waits for nothing needs no future.
            let answer = match route {
                Route::Json => contain_now(&context.counters, || handlers::json::json(context)),
                Route::Plaintext => {
                    contain_now(&context.counters, || Ok(handlers::plaintext::plaintext(context)))
                }
                _ => contain(&context.counters, pin!(handle(route, request, context, begun))).await,
            };
            answer.unwrap_or_else(|error| error.into_answer(context))
        }
        (_, &Method::OPTIONS) => options(),
        (_, _) => refuse_method(),
    };
    underway.end();
    let answer = answer.on(route);
    if body { answer.closing() } else { answer }
}

async fn handle(
    route: Route,
    request: &Request<Incoming>,
    context: &Context,
    begun: Instant,
) -> HandlerResult {
    let query = request.uri().query();
    // Only what waits has a deadline.
    let deadline = || begun + context.request_deadline;
    match route {
        Route::Db => handlers::db::db(context, deadline()).await,
        Route::Queries => handlers::queries::queries(query, context, deadline()).await,
        Route::Updates => handlers::updates::updates(query, context, deadline()).await,
        Route::Fortunes => handlers::fortunes::fortunes(context, deadline()).await,
        Route::CachedQueries => handlers::cached_queries::cached_queries(query, context, deadline()).await,
        // None of them comes here.
        Route::Json | Route::Plaintext | Route::Lab | Route::Other | Route::Unframed => Ok(no_such_route()),
    }
}

fn no_such_route() -> Answer {
    response::text(
        StatusCode::NOT_FOUND,
        "no such route; there are /json, /plaintext, /db, /queries, /updates, /fortunes and /cached-queries\n",
    )
}

pub(super) fn options() -> Answer {
    response::text(StatusCode::OK, "GET, HEAD, OPTIONS\n").with(Extra::Allow)
}

pub(super) fn refuse_method() -> Answer {
    response::text(StatusCode::METHOD_NOT_ALLOWED, "this route answers GET, HEAD and OPTIONS\n")
        .with(Extra::Allow)
}

pub(super) fn refuse(why: &'static str) -> Answer {
    response::text(StatusCode::BAD_REQUEST, why).closing()
}
