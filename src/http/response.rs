//! Makes answers.
//!
//! **Invariant:** every body is rendered for its request, and `Content-Length` is computed from it (by hyper, from the body's
//! exact size). Only header values that never change are ready-made.

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::context::Context;
use super::error::Error;

/// What we call ourselves in `Server`.
pub(crate) const SERVER_NAME: &str = "plimsoll";

/// The media type of JSON answers.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The media type of text answers.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
/// The media type of pages.
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// A body that is there as a whole.
pub(crate) type Body = Full<Bytes>;

/// A response, and whether the connection ends with it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The response without `Server` and `Date`, which the router adds to every one.
    pub(crate) response: Response<Body>,
    /// Whether the request leaves the connection unusable.
    pub(crate) close: bool,
}

/// What a handler gives.
pub(super) type HandlerResult = Result<Answer, Error>;

/// 200 with a JSON body.
pub(super) fn json(context: &Context, value: &impl Serialize) -> HandlerResult {
    let body = render(context, |buffer| serde_json::to_writer(buffer.writer(), value))?;
    Ok(answer(StatusCode::OK, JSON, body))
}

/// 200 with a page that `write` renders.
pub(super) fn html<E: std::error::Error + 'static>(
    context: &Context,
    write: impl FnOnce(&mut BytesMut) -> Result<(), E>,
) -> HandlerResult {
    Ok(answer(StatusCode::OK, HTML, render(context, write)?))
}

/// Any status with a short text.
pub(super) fn text(status: StatusCode, body: &'static str) -> Answer {
    answer(status, TEXT, Bytes::from_static(body.as_bytes()))
}

/// 200 with a text that was made for this request.
pub(super) fn plain(context: &Context, body: &str) -> HandlerResult {
    let body = render(context, |buffer| {
        buffer.put_slice(body.as_bytes());
        Ok::<_, std::convert::Infallible>(())
    })?;
    Ok(answer(StatusCode::OK, TEXT, body))
}

impl Answer {
    /// The same answer with one more header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.response.headers_mut().insert(name, value);
        self
    }

    /// The same answer as the last one on its connection.
    pub(super) fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

fn answer(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Answer { response, close: false }
}

/// Lets `write` append to the worker's buffer and splits off what it wrote.
fn render<E: std::error::Error + 'static>(
    context: &Context,
    write: impl FnOnce(&mut BytesMut) -> Result<(), E>,
) -> Result<Bytes, Error> {
    let mut buffer = context.buffer.borrow_mut();
    // What an answer that failed, or panicked, left behind belongs to no other answer.
    buffer.clear();
    write(&mut buffer).map_err(|error| Error::Rendering(Box::new(error)))?;
    Ok(buffer.split().freeze())
}
