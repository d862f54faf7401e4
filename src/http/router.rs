//! Step 5 of 7, router: from a request to the handler of its route.
//!
//! **Invariant:** a request whose frame is in doubt reaches no handler, and is the last one on its connection.
//!
//! Before: [`crate::server`]'s connection. After: one of [`super::handlers`].

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use tokio::time::Instant;

use super::context::Context;
use super::framing::Framing;
use super::handlers;
use super::lab;
use super::response::{self, Answer, Extra, HandlerResult};

/// The routes of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Json,
    Plaintext,
    Db,
    Queries,
    Updates,
    Fortunes,
    CachedQueries,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/json" => Self::Json,
            "/plaintext" => Self::Plaintext,
            "/db" => Self::Db,
            "/queries" => Self::Queries,
            "/updates" => Self::Updates,
            "/fortunes" => Self::Fortunes,
            "/cached-queries" => Self::CachedQueries,
            _ => return None,
        })
    }
}

/// Answers one request, which arrived just now unless `arrived` says when.
pub(crate) async fn respond(
    request: &mut Request<Incoming>,
    context: &Context,
    arrived: Option<Instant>,
) -> Answer {
    let framing = Framing::of(request);
    if let Some(why) = framing.refuse_host(request.version()) {
        return refuse(why);
    }
    let body = framing.has_body;
    let path = request.uri().path();
    if let Some(lab) = &context.lab
        && let Some(route) = lab::Route::of(path)
    {
        // Boxed, so that every other request's future stays as small as it is.
        return Box::pin(lab::respond(route, lab, request, context, arrived)).await;
    }
    let answer = match (Route::of(path), request.method()) {
        (Some(_), &Method::GET | &Method::HEAD) if body => refuse("this request takes no body"),
        (Some(route), &Method::GET | &Method::HEAD) => {
            handle(route, request, context, arrived).await.unwrap_or_else(|error| error.into_answer(context))
        }
        (Some(_), &Method::OPTIONS) => options(),
        (None, &Method::OPTIONS) if path == "*" => options(),
        (Some(_), _) => refuse_method(),
        (None, _) => response::text(
            StatusCode::NOT_FOUND,
            "no such route; there are /json, /plaintext, /db, /queries, /updates, /fortunes and /cached-queries\n",
        ),
    };
    if body { answer.closing() } else { answer }
}

async fn handle(
    route: Route,
    request: &Request<Incoming>,
    context: &Context,
    arrived: Option<Instant>,
) -> HandlerResult {
    let query = request.uri().query();
    // Only what waits has a deadline, and looks at the clock for it.
    let deadline = || arrived.unwrap_or_else(Instant::now) + context.request_deadline;
    match route {
        Route::Json => handlers::json::json(context),
        Route::Plaintext => Ok(handlers::plaintext::plaintext(context)),
        Route::Db => handlers::db::db(context, deadline()).await,
        Route::Queries => handlers::queries::queries(query, context, deadline()).await,
        Route::Updates => handlers::updates::updates(query, context, deadline()).await,
        Route::Fortunes => handlers::fortunes::fortunes(context, deadline()).await,
        Route::CachedQueries => handlers::cached_queries::cached_queries(query, context, deadline()).await,
    }
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
