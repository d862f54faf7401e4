//! Makes answers.
//!
//! **Invariant:** every answer has `Server` and `Date`, whichever way it came about. Every body is rendered for its request, and
//! `Content-Length` is computed from it (by hyper, from the body's exact size). Only header values are ready-made.

use std::time::Duration;

use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SERVER,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::body::{Body, Buffer};
use super::context::Context;
use super::error::Error;
use crate::telemetry::counters::WorkerCounters;
use crate::telemetry::labels::Route;

/// What we call ourselves in `Server`.
pub(crate) const SERVER_NAME: &str = "plimsoll";

/// The same as a header value.
const OURSELVES: HeaderValue = HeaderValue::from_static(SERVER_NAME);
/// What ends a connection.
const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// The media type of JSON answers.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The media type of text answers.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
/// The media type of pages.
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The methods of every route.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// The methods of the one that takes a body.
const METHODS_OF_ECHO: HeaderValue = HeaderValue::from_static("POST, OPTIONS");
/// The media type of bytes that nobody has given another.
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// The backoff between attempts to reach the database is well below a second.
const A_SECOND: HeaderValue = HeaderValue::from_static("1");

/// The most header fields for which a request's map is used again, so that no connection keeps more memory for long.
const MOST_REUSED: usize = 12;

/// What a request is answered with.
pub(crate) struct Answer {
    status: StatusCode,
    media: Media,
    /// What this answer has beside the headers of every one.
    extra: Option<Extra>,
    body: Body,
    /// What was asked for.
    route: Route,
    /// Whether the connection ends with this answer; a handler sets it where the request leaves no usable connection.
    pub(crate) close: bool,
}

#[derive(Debug, Clone, Copy)]
enum Media {
    Json,
    Text,
    Html,
    /// What the request says of its own body.
    AsItCame,
}

/// A header that few answers have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Extra {
    /// Which methods there are.
    Allow,
    /// Which methods the echo has.
    AllowPost,
    /// When to ask again.
    RetryAfter,
}

/// What a handler gives.
pub(super) type HandlerResult = Result<Answer, Error>;

/// 200 with a JSON body.
pub(super) fn json(context: &Context, value: &impl Serialize) -> HandlerResult {
    let mut buffer = context.spare.lend();
    serde_json::to_writer(&mut buffer.bytes, value).map_err(Error::rendering)?;
    Ok(ok(Media::Json, buffer))
}

/// 200 with a page that `write` renders.
pub(super) fn html<E: std::error::Error + 'static>(
    context: &Context,
    write: impl FnOnce(&mut String) -> Result<(), E>,
) -> HandlerResult {
    let mut buffer = context.spare.lend();
    // An empty buffer is text already; the template writes text only.
    let mut page = String::from_utf8(std::mem::take(&mut buffer.bytes)).unwrap_or_default();
    let written = write(&mut page);
    buffer.bytes = page.into_bytes();
    written.map_err(Error::rendering)?;
    Ok(ok(Media::Html, buffer))
}

/// 200 with a text that was made for this request.
pub(super) fn plain(context: &Context, body: &str) -> Answer {
    let mut buffer = context.spare.lend();
    buffer.bytes.extend_from_slice(body.as_bytes());
    ok(Media::Text, buffer)
}

/// 200 with the request's own body, under its own media type.
pub(super) fn as_it_came(buffer: Buffer) -> Answer {
    ok(Media::AsItCame, buffer)
}

/// Any status with a short text.
pub(super) fn text(status: StatusCode, body: &'static str) -> Answer {
    Answer {
        status,
        media: Media::Text,
        extra: None,
        body: Body::fixed(body),
        route: Route::Other,
        close: false,
    }
}

fn ok(media: Media, buffer: Buffer) -> Answer {
    let body = Body::rendered(buffer);
    Answer { status: StatusCode::OK, media, extra: None, body, route: Route::Other, close: false }
}

impl Answer {
    /// The same answer with one more header.
    pub(super) fn with(self, extra: Extra) -> Self {
        Self { extra: Some(extra), ..self }
    }

    /// The same answer as that of a route.
    pub(super) fn on(self, route: Route) -> Self {
        Self { route, ..self }
    }

    /// Counts it, by its route and status, and the time it took unless it answers what reached no route.
    pub(crate) fn count(&self, counters: &WorkerCounters, took: Duration) {
        counters.note_answer(self.route, self.status.as_u16());
        if self.route != Route::Unframed {
            counters.request_time.note(took);
        }
    }

    /// The same answer as the last one on its connection.
    pub(super) fn closing(self) -> Self {
        Self { close: true, ..self }
    }

    /// The response, with what every one has. It takes the request's header map for its own: hyper, which does the same with
    /// the response's, then needs no new one from request to request.
    pub(crate) fn into_response(self, context: &Context, request: &mut HeaderMap) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let came = if let Media::AsItCame = self.media { request.remove(CONTENT_TYPE) } else { None };
        take_over(headers, request);
        headers.insert(CONTENT_TYPE, self.media.value());
        if let Some(extra) = self.extra {
            let (name, value) = extra.header();
            headers.insert(name, value);
        }
        headers.insert(SERVER, OURSELVES);
        headers.insert(DATE, context.date.value());
        if self.close {
            headers.insert(CONNECTION, CLOSE);
        }
        if let Some(came) = came {
            headers.insert(CONTENT_TYPE, came);
        }
        response
    }
}

/// Makes an empty map of the one that is no longer needed, if that is small enough.
fn take_over(headers: &mut HeaderMap, old: &mut HeaderMap) {
    if old.capacity() <= MOST_REUSED {
        std::mem::swap(headers, old);
        headers.clear();
    }
}

impl Media {
    fn value(self) -> HeaderValue {
        match self {
            Self::Json => JSON,
            Self::Text => TEXT,
            Self::Html => HTML,
            Self::AsItCame => BYTES,
        }
    }
}

impl Extra {
    fn header(self) -> (HeaderName, HeaderValue) {
        match self {
            Self::Allow => (ALLOW, METHODS),
            Self::AllowPost => (ALLOW, METHODS_OF_ECHO),
            Self::RetryAfter => (RETRY_AFTER, A_SECOND),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_map_is_used_again_and_nothing_stays_in_it() {
        let mut old = HeaderMap::new();
        old.append(ALLOW, HeaderValue::from_static("one"));
        old.append(ALLOW, HeaderValue::from_static("two"));
        let capacity = old.capacity();
        let mut headers = HeaderMap::new();
        take_over(&mut headers, &mut old);
        assert!(headers.is_empty() && headers.get(ALLOW).is_none());
        assert_eq!((headers.capacity(), old.capacity()), (capacity, 0));
    }

    #[test]
    fn a_large_map_is_left_where_it_is() {
        let mut old = HeaderMap::with_capacity(MOST_REUSED + 1);
        let mut headers = HeaderMap::new();
        take_over(&mut headers, &mut old);
        assert_eq!(headers.capacity(), 0);
    }
}
