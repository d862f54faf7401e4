//! What hyper lets through and the contract does not: `Host` and bodies.
//!
//! hyper parses heads and takes care of lengths that differ; bare line feeds and over-long heads are stopped before hyper sees
//! them, in the server's guard. hyper removes `Content-Length` when both framings are present, so any `Transfer-Encoding`
//! counts as a body here.
//!
//! **Invariant:** a request with a body is the last one on its connection, so that no byte of a body is ever read as a request.

use hyper::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::{Request, Version};

/// Whether the request announces a body, however it is framed.
pub(super) fn announces_body<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    headers.contains_key(TRANSFER_ENCODING)
        || headers
            .get_all(CONTENT_LENGTH)
            .iter()
            .any(|length| length.as_bytes().iter().any(|byte| *byte != b'0'))
}

/// What is wrong with the request's `Host`, if anything (RFC 9112, section 3.2).
pub(super) fn refuse_host<B>(request: &Request<B>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => Some("a HTTP/1.1 request needs a Host header"),
        (None, _) => None,
        (Some(_), Some(_)) => Some("a request has one Host header"),
        (Some(host), None) if is_valid_host(host.as_bytes()) => None,
        (Some(_), None) => Some("the Host header is not a host and port"),
    }
}

/// `uri-host [ ":" port ]` (RFC 9110, section 7.2), for a scheme whose host may not be empty (section 4.2.1).
fn is_valid_host(host: &[u8]) -> bool {
    let (name, port) = match host.iter().position(|byte| *byte == b']') {
        Some(end) => host.split_at(end + 1),
        None => host.split_at(host.iter().position(|byte| *byte == b':').unwrap_or(host.len())),
    };
    let port_is_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    port_is_valid && is_valid_name(name)
}

fn is_valid_name(name: &[u8]) -> bool {
    match name {
        [] => false,
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
        }
        name => name.iter().all(|byte| is_name_byte(*byte)),
    }
}

/// `reg-name` (RFC 3986, section 3.2.2): unreserved, percent-encoded and sub-delims.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
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
        ] {
            assert!(!is_valid_host(host.as_bytes()), "{host:?} was taken");
        }
    }

    #[test]
    fn a_body_is_any_transfer_encoding_or_a_length_above_zero() {
        let request = |name: &str, value: &str| Request::builder().header(name, value).body(()).unwrap();
        assert!(announces_body(&request("transfer-encoding", "identity")));
        assert!(announces_body(&request("content-length", "5")));
        assert!(announces_body(&request("content-length", "05")));
        assert!(!announces_body(&request("content-length", "0")));
        assert!(!announces_body(&request("content-length", "000")));
        assert!(!announces_body(&request("accept", "*/*")));
    }
}
