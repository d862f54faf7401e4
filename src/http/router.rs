//! Step 5 of 7, router: from a request to the handler of its route.
//!
//! **Invariant:** every answer has `Server` and `Date`, whichever way it came about.
//!
//! Before: [`crate::server`]'s connection. After: one of [`super::handlers`].

use hyper::body::Incoming;
use hyper::header::{ALLOW, DATE, HeaderValue, SERVER};
use hyper::{Method, Request, StatusCode};
use tokio::time::Instant;

use super::context::Context;
use super::framing;
use super::handlers;
use super::response::{self, Answer, HandlerResult, SERVER_NAME};

/// The methods of every route.
const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

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

/// Answers one request that arrived at `arrived`.
pub(crate) async fn respond(request: &Request<Incoming>, context: &Context, arrived: Instant) -> Answer {
    let mut answer = dispatch(request, context, arrived + context.request_deadline).await;
    let headers = answer.response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static(SERVER_NAME));
    headers.insert(DATE, context.date.value());
    answer
}

async fn dispatch(request: &Request<Incoming>, context: &Context, deadline: Instant) -> Answer {
    if let Some(why) = framing::refuse_host(request) {
        return refuse(why);
    }
    let body = framing::announces_body(request);
    let path = request.uri().path();
    let answer = match (Route::of(path), request.method()) {
        (Some(_), &Method::GET | &Method::HEAD) if body => refuse("this request takes no body"),
        (Some(route), &Method::GET | &Method::HEAD) => {
            handle(route, request, context, deadline).await.unwrap_or_else(|error| error.into_answer(context))
        }
        (Some(_), &Method::OPTIONS) => options(),
        (None, &Method::OPTIONS) if path == "*" => options(),
        (Some(_), _) => {
            response::text(StatusCode::METHOD_NOT_ALLOWED, "this route answers GET, HEAD and OPTIONS\n")
                .with(ALLOW, ALLOWED)
        }
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
    deadline: Instant,
) -> HandlerResult {
    let query = request.uri().query();
    match route {
        Route::Json => handlers::json::json(context),
        Route::Plaintext => handlers::plaintext::plaintext(context),
        Route::Db => handlers::db::db(context, deadline).await,
        Route::Queries => handlers::queries::queries(query, context, deadline).await,
        Route::Updates => handlers::updates::updates(query, context, deadline).await,
        Route::Fortunes => handlers::fortunes::fortunes(context, deadline).await,
        Route::CachedQueries => handlers::cached_queries::cached_queries(query, context, deadline).await,
    }
}

fn options() -> Answer {
    response::text(StatusCode::OK, "GET, HEAD, OPTIONS\n").with(ALLOW, ALLOWED)
}

fn refuse(why: &'static str) -> Answer {
    response::text(StatusCode::BAD_REQUEST, why).closing()
}
