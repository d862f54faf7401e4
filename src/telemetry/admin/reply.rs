//! Answers of the admin side: whole texts that nobody keeps.
//!
//! **Invariant:** an answer is there as a whole before its first byte is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};

/// A body that is there as a whole; none once hyper has taken it.
pub(super) struct Whole(Option<Bytes>);

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";

/// An answer of this kind.
pub(super) fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Whole> {
    let mut response = Response::new(Whole(Some(body.into())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A line of text, or several.
pub(super) fn say(status: StatusCode, text: impl std::fmt::Display) -> Response<Whole> {
    reply(status, TEXT, format!("{text}\n"))
}

/// A value as JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Response<Whole> {
    match serde_json::to_vec(value) {
        Ok(text) => reply(StatusCode::OK, JSON, text),
        Err(error) => say(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

/// The same answer with another header.
pub(super) fn with(mut response: Response<Whole>, name: HeaderName, value: &str) -> Response<Whole> {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

impl hyper::body::Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
