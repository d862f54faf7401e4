//! Lines, versions, and what is no request at all: RFC 9112, sections 2 and 3.
//!
//! **Invariant:** a line ends with CRLF; nothing else ends one, and nothing else is forgiven but blank lines before a request.

use super::{Answer, Rule, check};

pub(super) const RULES: &[Rule] = &[
    Rule {
        clause: "RFC 9112, 2.2",
        says: "a server that awaits a request line SHOULD ignore at least one empty line before it",
        inputs: &[
            ("CRLF before a request", b"\r\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("five of them", b"\r\n\r\n\r\n\r\n\r\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("one behind it too", b"GET /json HTTP/1.1\r\nHost: a\r\n\r\n\r\n"),
        ],
        answer: Answer::Served(200),
    },
    Rule {
        clause: "RFC 9112, 2.2",
        says: "a recipient MAY take a single LF for a line's end; we do not, since others may not",
        inputs: &[
            ("LF after the request line", b"GET /json HTTP/1.1\nHost: a\r\n\r\n"),
            ("LF after a field", b"GET /json HTTP/1.1\r\nHost: a\nAccept: b\r\n\r\n"),
            ("LF after the last field", b"GET /json HTTP/1.1\r\nHost: a\n\r\n"),
            ("LF as the blank line", b"GET /json HTTP/1.1\r\nHost: a\r\n\n"),
            ("LF everywhere", b"GET /json HTTP/1.1\nHost: a\n\n"),
            ("LF within a value", b"GET /json HTTP/1.1\r\nHost: a\r\nX: 1\n 2\r\n\r\n"),
            ("LF before a request", b"\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n"),
            (
                "LF before a hidden field",
                b"GET /json HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n",
            ),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9112, 2.2",
        says: "an element that holds a bare CR MUST be taken for invalid, or the CR for a space",
        inputs: &[
            ("CR in a value", b"GET /json HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
            ("CR in a name", b"GET /json HTTP/1.1\r\nHost: a\r\nX\rY: b\r\n\r\n"),
            ("CR in the target", b"GET /js\ron HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("CR as the end of the request line", b"GET /json HTTP/1.1\rHost: a\r\n\r\n"),
            ("CR as the end of a field", b"GET /json HTTP/1.1\r\nHost: a\rAccept: b\r\n\r\n"),
            ("two CR before a LF", b"GET /json HTTP/1.1\r\nHost: a\r\r\n\r\n"),
            ("CR before a request", b"\rGET /json HTTP/1.1\r\nHost: a\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9112, 2.2",
        says: "whitespace between start line and first field: reject, or skip the lines that begin with it",
        inputs: &[
            ("space before the first field", b"GET /json HTTP/1.1\r\n Host: a\r\n\r\n"),
            ("tab before the first field", b"GET /json HTTP/1.1\r\n\tX: b\r\nHost: a\r\n\r\n"),
            ("a line of one space", b"GET /json HTTP/1.1\r\n \r\nHost: a\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9112, 2.2",
        says: "what does not match the grammar of a message SHOULD be answered with 400 and a close",
        inputs: &[
            ("a TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
            ("NUL in the method", b"GE\0T /json HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("NUL in the target", b"GET /js\0on HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a control in the target", b"GET /\x07 HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("a field as the request line", b"Host: a\r\n\r\n"),
            ("a space as the request line", b" \r\nHost: a\r\n\r\n"),
            ("an empty method", b" /json HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a method that is no token", b"G(T /json HTTP/1.1\r\nHost: a\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9112, 2.3",
        says: "HTTP-version is `HTTP/` and two digits, case-sensitive; we speak 1.0 and 1.1",
        inputs: &[
            ("HTTP/0.9", b"GET /json HTTP/0.9\r\nHost: a\r\n\r\n"),
            ("HTTP/1.2", b"GET /json HTTP/1.2\r\nHost: a\r\n\r\n"),
            ("HTTP/2.0", b"GET /json HTTP/2.0\r\nHost: a\r\n\r\n"),
            ("HTTP/3.0", b"GET /json HTTP/3.0\r\nHost: a\r\n\r\n"),
            ("HTTP/1", b"GET /json HTTP/1\r\nHost: a\r\n\r\n"),
            ("HTTP/1.10", b"GET /json HTTP/1.10\r\nHost: a\r\n\r\n"),
            ("HTTP/01.1", b"GET /json HTTP/01.1\r\nHost: a\r\n\r\n"),
            ("http/1.1", b"GET /json http/1.1\r\nHost: a\r\n\r\n"),
            ("HTTQ/1.1", b"GET /json HTTQ/1.1\r\nHost: a\r\n\r\n"),
            ("no version, as in HTTP/0.9", b"GET /json\r\n\r\n"),
            ("no version, and fields", b"GET /json\r\nHost: a\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9113, 3.4",
        says: "the preface of HTTP/2, which no server of HTTP/1 can answer in words that its sender reads",
        inputs: &[("the preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
        answer: Answer::Closed,
    },
    Rule {
        clause: "RFC 9112, 3",
        says: "one space between the parts of a request line; an invalid one SHOULD be answered with 400",
        inputs: &[
            ("no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("two spaces before the target", b"GET  /json HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("two spaces behind the target", b"GET /json  HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a tab for a space", b"GET\t/json HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a space in the target", b"GET /js on HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a space behind the version", b"GET /json HTTP/1.1 \r\nHost: a\r\n\r\n"),
            ("a space before the method", b" GET /json HTTP/1.1\r\nHost: a\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9110, 9.1",
        says: "a method is case-sensitive; one that a route does not have is 405",
        inputs: &[
            ("get", b"get /json HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("PROPFIND", b"PROPFIND /json HTTP/1.1\r\nHost: a\r\n\r\n"),
        ],
        answer: Answer::Served(405),
    },
    Rule {
        clause: "RFC 9112, 9.3",
        says: "HTTP/1.1 goes on, HTTP/1.0 where `keep-alive` was asked for",
        inputs: &[
            ("HTTP/1.1", b"GET /json HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("HTTP/1.0 with keep-alive", b"GET /json HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        ],
        answer: Answer::Served(200),
    },
    Rule {
        clause: "RFC 9112, 9.3",
        says: "HTTP/1.0 by itself ends with the answer, and so does what says `close`, whatever else it says",
        inputs: &[
            ("HTTP/1.1 with close", b"GET /json HTTP/1.1\r\nhOsT: a\r\nCONNECTION: Close\r\n\r\n"),
            (
                "close and keep-alive",
                b"GET /json HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n",
            ),
            (
                "in two fields",
                b"GET /json HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
            ),
        ],
        answer: Answer::Refused(200),
    },
];

#[test]
fn lines_and_versions_are_read_as_the_standard_says() {
    check(RULES);
}
