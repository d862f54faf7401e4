//! What hyper lets through and the contract does not: `Host` and bodies.
//!
//! hyper parses heads and takes care of lengths that differ; bare line feeds and over-long heads are stopped before hyper sees
//! them, in the server's guard. hyper removes `Content-Length` when both framings are present, so any `Transfer-Encoding`
//! counts as a body here.
//!
//! **Invariant:** a request with a body is the last one on its connection, so that no byte of a body is ever read as a request.

use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::{Request, Version};

/// What the headers say of the request's frame, gathered in one pass: requests have few headers, and each look into the map
/// costs as much as three of them.
#[derive(Debug)]
pub(super) struct Framing<'a> {
    host: Option<&'a HeaderValue>,
    has_several_hosts: bool,
    /// Whether the request announces a body, however it is framed.
    pub(super) has_body: bool,
}

impl<'a> Framing<'a> {
    pub(super) fn of<B>(request: &'a Request<B>) -> Self {
        let mut framing = Self { host: None, has_several_hosts: false, has_body: false };
        for (name, value) in request.headers() {
            if *name == HOST {
                framing.has_several_hosts |= framing.host.replace(value).is_some();
            } else if *name == CONTENT_LENGTH {
                framing.has_body |= value.as_bytes().iter().any(|byte| *byte != b'0');
            } else if *name == TRANSFER_ENCODING {
                framing.has_body = true;
            }
        }
        framing
    }

    /// What is wrong with the request's `Host`, if anything (RFC 9112, section 3.2).
    pub(super) fn refuse_host(&self, version: Version) -> Option<&'static str> {
        match self.host {
            None if version == Version::HTTP_11 => Some("a HTTP/1.1 request needs a Host header"),
            None => None,
            Some(_) if self.has_several_hosts => Some("a request has one Host header"),
            Some(host) if is_valid_host(host.as_bytes()) => None,
            Some(_) => Some("the Host header is not a host and port"),
        }
    }
}

/// `uri-host [ ":" port ]` (RFC 9110, section 7.2), for a scheme whose host may not be empty (section 4.2.1).
pub(super) fn is_valid_host(host: &[u8]) -> bool {
    let name = match host {
        [b'[', ..] => host.iter().position(|byte| *byte == b']').map_or(0, |end| end + 1),
        _ => host.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(name);
    let port_is_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let name_is_valid = match name {
        [] => false,
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
        }
        _ => true,
    };
    port_is_valid && name_is_valid
}

/// `reg-name` (RFC 3986, section 3.2.2): unreserved, percent-encoded and sub-delims.
fn is_name_byte(byte: u8) -> bool {
    const TAKEN: [bool; 256] = {
        let mut taken = [false; 256];
        let mut byte = 0_u8;
        while byte < 128 {
            taken[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        let mut marks: &[u8] = b"-._~%!$&'()*+,;=";
        while let [mark, rest @ ..] = marks {
            taken[*mark as usize] = true;
            marks = rest;
        }
        taken
    };
    TAKEN[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_or_without_a_port() {
        for host in
            ["localhost", "localhost:8080", "127.0.0.1:80", "[::1]", "[::1]:8080", "a-b.c_d~e", "tfb-server:"]
        {
            assert!(is_valid_host(host.as_bytes()), "{host} was refused");
        }
        for host in [
            "",
            ":80",
            "a b",
            "a/b",
            "user@host",
            "host:port",
            "host:123456",
            "[::1",
            "[::1]x",
            "[zz]",
            "a:1:2",
            "a]",
            "a]:80",
            "a:1]",
            "[]",
            "[::1]80",
            "h\u{f6}st",
        ] {
            assert!(!is_valid_host(host.as_bytes()), "{host:?} was taken");
        }
    }

    #[test]
    fn a_body_is_any_transfer_encoding_or_a_length_above_zero() {
        let has_body = |headers: &[(&str, &str)]| Framing::of(&request(headers)).has_body;
        assert!(has_body(&[("transfer-encoding", "identity")]));
        assert!(has_body(&[("content-length", "5")]));
        assert!(has_body(&[("content-length", "05")]));
        assert!(has_body(&[("content-length", "0"), ("content-length", "5")]));
        assert!(has_body(&[("content-length", "5"), ("content-length", "0"), ("host", "a")]));
        assert!(!has_body(&[("content-length", "0")]));
        assert!(!has_body(&[("content-length", "000")]));
        assert!(!has_body(&[("accept", "*/*")]));
    }

    #[test]
    fn a_host_is_needed_once_and_only_from_http_1_1_on() {
        let refused =
            |headers: &[(&str, &str)], version| Framing::of(&request(headers)).refuse_host(version).is_some();
        assert!(refused(&[("accept", "*/*")], Version::HTTP_11));
        assert!(!refused(&[("accept", "*/*")], Version::HTTP_10));
        assert!(!refused(&[("host", "a"), ("accept", "*/*")], Version::HTTP_11));
        assert!(refused(&[("host", "a"), ("accept", "*/*"), ("host", "a")], Version::HTTP_10));
        assert!(refused(&[("host", "a"), ("host", "a"), ("host", "a")], Version::HTTP_11));
        assert!(refused(&[("host", "a b")], Version::HTTP_10));
    }

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }
}
