//! `POST /lab/echo`: a body goes in and comes back.
//!
//! It is the only route that takes a body, and only one whose length is known beforehand. The connection's guard hands hyper
//! heads, and after a head the bytes that [`body_length`] allows, unread; hyper's reading of the head is what counts
//! here, and a request on which the two could differ is refused and is the last on its connection.
//!
//! **Invariant:** the connection goes on only after a body that was read to its end.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use hyper::{Method, Request, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::super::context::Context;
use super::super::framing::Framing;
use super::super::response::{self, Answer, Extra};

/// The route.
pub(super) const PATH: &str = "/lab/echo";

/// The longest body, in bytes.
const LONGEST: usize = 64 * 1024;

/// Answers a POST with its body and its `Content-Type`; a body longer than 64 KiB is 413, one that does not come in time 408.
pub(super) async fn echo(request: &mut Request<Incoming>, context: &Context, deadline: Instant) -> Answer {
    if request.method() != Method::POST {
        let answer = match *request.method() {
            Method::OPTIONS => response::text(StatusCode::OK, "POST, OPTIONS\n"),
            _ => response::text(StatusCode::METHOD_NOT_ALLOWED, "this route answers POST and OPTIONS\n"),
        };
        let answer = answer.with(Extra::AllowPost);
        return if Framing::of(request).has_body { answer.closing() } else { answer };
    }
    if request.uri().scheme().is_some() {
        return refuse(StatusCode::BAD_REQUEST, "this route is asked for by its path alone\n");
    }
    match announced_length(request.headers()) {
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
        Ok(length) if length > LONGEST => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 65536 bytes\n");
        }
        Ok(_) => {}
    }
    let mut buffer = context.spare.lend();
    match timeout_at(deadline, read(request.body_mut(), &mut buffer.bytes)).await {
        Ok(Ok(())) => response::as_it_came(buffer),
        Ok(Err(_)) => refuse(StatusCode::BAD_REQUEST, "the body ended before its length\n"),
        Err(_) => {
            look_again().await;
            refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n")
        }
    }
}

/// Has the connection polled once more after the answer. hyper, which waits for bytes of the body, is not told that nobody reads them
/// any longer, and would end the connection only when they come.
async fn look_again() {
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Ready(())
    })
    .await;
}

/// Reads the body to its end, which hyper finds by the length that was announced.
async fn read(body: &mut Incoming, into: &mut Vec<u8>) -> Result<(), hyper::Error> {
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        if let Some(bytes) = frame?.data_ref() {
            into.extend_from_slice(bytes);
        }
    }
    Ok(())
}

fn refuse(status: StatusCode, why: &'static str) -> Answer {
    response::text(status, why).closing()
}

/// The body's length as hyper took it; what it let pass and the guard does not is an error.
fn announced_length(headers: &HeaderMap) -> Result<usize, &'static str> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err("a body comes with a Content-Length here, and without a Transfer-Encoding\n");
    }
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(0),
        (Some(value), None) => length(value.as_bytes()).ok_or("the Content-Length is not a number\n"),
        (Some(_), Some(_)) => Err("a request has one Content-Length\n"),
    }
}

/// How many bytes behind this head are a body that may be handed on unread; 0 unless it is a POST to [`PATH`] of a length that
/// will be read. The head is one that hyper may yet refuse.
pub(super) fn body_length(head: &[u8]) -> usize {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    // Blank lines may stand before a request line.
    if !lines.find(|line| !line.is_empty()).is_some_and(asks_for_echo) {
        return 0;
    }
    let mut announced = None;
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(TRANSFER_ENCODING.as_str().as_bytes()) {
            return 0;
        }
        if name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str().as_bytes()) {
            match (announced, length(value.trim_ascii())) {
                // hyper takes the same length said twice for said once (RFC 9110, section 8.6).
                (before, Some(length)) if before.is_none_or(|before| before == length) => {
                    announced = Some(length);
                }
                _ => return 0,
            }
        }
    }
    announced.filter(|length| *length <= LONGEST).unwrap_or(0)
}

fn asks_for_echo(line: &[u8]) -> bool {
    let rest = line.strip_prefix(b"POST ").and_then(|target| target.strip_prefix(PATH.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b" ") || rest.starts_with(b"?") || rest.starts_with(b"#"))
}

/// `1*DIGIT` (RFC 9110, section 8.6); longer than any memory reads as the largest number there is.
fn length(digits: &[u8]) -> Option<usize> {
    let digit = |length: usize, byte: &u8| {
        byte.is_ascii_digit().then(|| length.saturating_mul(10).saturating_add(usize::from(byte - b'0')))
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, digit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(request_line: &str, headers: &str) -> usize {
        body_length(format!("{request_line}\r\nHost: a\r\n{headers}\r\n").as_bytes())
    }

    #[test]
    fn only_a_post_to_the_route_has_a_body_that_is_handed_on() {
        for (line, expected) in [
            ("POST /lab/echo HTTP/1.1", 5),
            ("POST /lab/echo HTTP/1.0", 5),
            ("POST /lab/echo?x=/lab HTTP/1.1", 5),
            ("POST /lab/echo#part HTTP/1.1", 5),
            ("\r\n\r\nPOST /lab/echo HTTP/1.1", 5),
            ("PUT /lab/echo HTTP/1.1", 0),
            ("post /lab/echo HTTP/1.1", 0),
            ("POST /lab/echoes HTTP/1.1", 0),
            ("POST /lab/echo/ HTTP/1.1", 0),
            ("POST  /lab/echo HTTP/1.1", 0),
            ("POST http://a/lab/echo HTTP/1.1", 0),
            ("POST /json HTTP/1.1", 0),
            ("POST /json?/lab/echo HTTP/1.1", 0),
            ("GET /lab/echo HTTP/1.1", 0),
        ] {
            assert_eq!(of(line, "Content-Length: 5\r\n"), expected, "{line}");
        }
    }

    #[test]
    fn only_one_plain_length_within_the_bound_is_handed_on() {
        for (headers, expected) in [
            ("Content-Length: 5\r\n", 5),
            ("cOnTENT-length:\t 05 \r\n", 5),
            ("Content-Length: 65536\r\n", 65_536),
            ("Content-Length: 65537\r\n", 0),
            ("Content-Length: 99999999999999999999999\r\n", 0),
            ("Content-Length: 5\r\nContent-Length: 05\r\n", 5),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", 0),
            ("Content-Length: 5\r\nContent-Length: x\r\n", 0),
            ("Content-Length: 5, 5\r\n", 0),
            ("Content-Length: +5\r\n", 0),
            ("Content-Length: 5 5\r\n", 0),
            ("Content-Length:\r\n", 0),
            ("Content-Length : 5\r\n", 0),
            (" Content-Length: 5\r\n", 0),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 0),
            ("transfer-encoding:\r\nContent-Length: 5\r\n", 0),
            ("X-Content-Length: 5\r\n", 0),
            ("", 0),
        ] {
            assert_eq!(of("POST /lab/echo HTTP/1.1", headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn hyper_and_the_guard_read_the_same_lengths() {
        let announced = |lines: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(hyper::header::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
            }
            announced_length(&headers)
        };
        assert_eq!(announced(&[]), Ok(0));
        assert_eq!(announced(&[("content-length", "007")]), Ok(7));
        assert!(announced(&[("content-length", "7"), ("content-length", "7")]).is_err());
        assert!(announced(&[("content-length", "7"), ("transfer-encoding", "")]).is_err());
        assert!(announced(&[("transfer-encoding", "chunked")]).is_err());
    }
}
