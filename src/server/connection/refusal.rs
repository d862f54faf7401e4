//! Refusals that are made before hyper sees a request.
//!
//! **Invariant:** a refusal is the last thing said on its connection.

use hyper::header::HeaderValue;

use crate::http::SERVER_NAME;

/// Why a request is refused unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Refusal {
    /// A line ended without a carriage return (RFC 9112, section 2.2: a way to smuggle requests past proxies).
    BareLineFeed,
    /// The request line is longer than we read.
    TargetTooLong,
    /// The head is longer than we read.
    HeadTooLarge,
    /// The head was not whole in time.
    TooSlow,
    /// There are as many connections as there may be.
    NoRoom,
    /// There is no memory for another connection.
    NoMemory,
    /// There is no memory to wait for the rest of the head.
    Shed,
}

impl Refusal {
    /// The status.
    pub(in crate::server) fn code(self) -> u16 {
        match self {
            Self::BareLineFeed => 400,
            Self::TargetTooLong => 414,
            Self::HeadTooLarge => 431,
            Self::TooSlow => 408,
            Self::NoRoom | Self::NoMemory | Self::Shed => 503,
        }
    }

    /// The status line's end, and what goes with this status alone.
    fn status(self) -> &'static str {
        match self {
            Self::BareLineFeed => "Bad Request",
            Self::TargetTooLong => "URI Too Long",
            Self::HeadTooLarge => "Request Header Fields Too Large",
            Self::TooSlow => "Request Timeout",
            Self::NoRoom | Self::NoMemory | Self::Shed => "Service Unavailable\r\nretry-after: 1",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::BareLineFeed => "a line of the request head ends without a carriage return\n",
            Self::TargetTooLong => "the request target is too long\n",
            Self::HeadTooLarge => "the request head is too large\n",
            Self::TooSlow => "the request head did not come in time\n",
            Self::NoRoom => "there are as many connections as there may be\n",
            Self::NoMemory => "there is no memory for another connection at the moment\n",
            Self::Shed => "there is no memory to wait for the rest of the request at the moment\n",
        }
    }

    /// The whole response.
    pub(in crate::server) fn render(self, date: &HeaderValue) -> Vec<u8> {
        let (code, status, reason) = (self.code(), self.status(), self.reason());
        let date = String::from_utf8_lossy(date.as_bytes());
        format!(
            "HTTP/1.1 {code} {status}\r\nserver: {SERVER_NAME}\r\ndate: {date}\r\ncontent-type: text/plain\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{reason}",
            reason.len()
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_whole_response() {
        let text = String::from_utf8(Refusal::TooSlow.render(&HeaderValue::from_static("now"))).unwrap();
        assert!(text.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{text}");
        assert!(
            text.contains("\r\ncontent-length: 38\r\nconnection: close\r\n\r\nthe request head"),
            "{text}"
        );
    }

    #[test]
    fn a_full_house_says_when_to_come_again() {
        let text = String::from_utf8(Refusal::NoRoom.render(&HeaderValue::from_static("now"))).unwrap();
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nserver: "), "{text}");
    }
}
