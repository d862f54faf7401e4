//! Request targets and `Host`: RFC 9112, section 3.2.
//!
//! **Invariant:** a target has the form that its method asks for, and a request names one host.

use super::{Answer, Rule, check};

pub(super) const RULES: &[Rule] = &[
    Rule {
        clause: "RFC 9112, 3.2",
        says: "no `Host` in HTTP/1.1, more than one, or an invalid one MUST be answered with 400",
        inputs: &[
            ("no Host", b"GET /json HTTP/1.1\r\n\r\n"),
            ("no Host among others", b"GET /json HTTP/1.1\r\nAccept: */*\r\nX-Host: a\r\n\r\n"),
            ("two Hosts", b"GET /json HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            ("two equal Hosts", b"GET /json HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n"),
            ("two Hosts in HTTP/1.0", b"GET /json HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
            ("a list", b"GET /json HTTP/1.1\r\nHost: a, b\r\n\r\n"),
            ("a space", b"GET /json HTTP/1.1\r\nHost: a b\r\n\r\n"),
            ("a slash", b"GET /json HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            ("a user", b"GET /json HTTP/1.1\r\nHost: me@a\r\n\r\n"),
            ("letters for a port", b"GET /json HTTP/1.1\r\nHost: a:http\r\n\r\n"),
            ("an open bracket", b"GET /json HTTP/1.1\r\nHost: [::1\r\n\r\n"),
            ("a byte beyond ASCII", b"GET /json HTTP/1.1\r\nHost: a\xff\r\n\r\n"),
            ("no Host with an absolute target", b"GET http://a/json HTTP/1.1\r\n\r\n"),
            (
                "two Hosts with an absolute target",
                b"GET http://a/json HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            ),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9110, 4.2.1",
        says: "an http URI with an empty host MUST be rejected as invalid",
        inputs: &[
            ("an empty Host", b"GET /json HTTP/1.1\r\nHost:\r\n\r\n"),
            ("blanks for a Host", b"GET /json HTTP/1.1\r\nHost: \t \r\n\r\n"),
            ("a port alone", b"GET /json HTTP/1.1\r\nHost: :80\r\n\r\n"),
            ("an empty host in the target", b"GET http:///json HTTP/1.1\r\nHost: a\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9112, 3.2",
        says: "`Host` is a host and, where there is one, a port",
        inputs: &[
            ("a name", b"GET /json HTTP/1.1\r\nhost:localhost\r\n\r\n"),
            ("a name and a port", b"GET /json HTTP/1.1\r\nHost: a.example:8080\r\n\r\n"),
            ("a name and an empty port", b"GET /json HTTP/1.1\r\nHost: a:\r\n\r\n"),
            ("an IPv4 address", b"GET /json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
            ("an IPv6 address", b"GET /json HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
            ("an underscore", b"GET /json HTTP/1.1\r\nHost: a_b\r\n\r\n"),
            ("Punycode", b"GET /json HTTP/1.1\r\nHost: xn--ls8h.example\r\n\r\n"),
            ("none in HTTP/1.0", b"GET /json HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        ],
        answer: Answer::Served(200),
    },
    Rule {
        clause: "RFC 9112, 3.2.2",
        says: "a server MUST accept the absolute form, and take the host from there",
        inputs: &[
            ("with the same host", b"GET http://a/json HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("with another", b"GET http://b:81/json?queries=3 HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("of https", b"GET https://a/json HTTP/1.1\r\nHost: a\r\n\r\n"),
        ],
        answer: Answer::Served(200),
    },
    Rule {
        clause: "RFC 9112, 3.2.2",
        says: "the path is what is looked for, and none is `/`",
        inputs: &[
            ("an unknown path", b"GET http://a/nothing HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("no path", b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("another case", b"GET /JSON HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("percent-encoded", b"GET /%6Ason HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("dot segments", b"GET /x/../json HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("UTF-8", b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ],
        answer: Answer::Served(404),
    },
    Rule {
        clause: "RFC 9112, 3.2.3",
        says: "the authority form is for CONNECT only, and that is for proxies, which this is not",
        inputs: &[
            ("with GET", b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a path without its slash", b"GET json HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9112, 3.2.4",
        says: "the asterisk form is for OPTIONS of the server as a whole",
        inputs: &[("with OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")],
        answer: Answer::Served(200),
    },
    Rule {
        clause: "RFC 9112, 3.2.4",
        says: "and for nothing else",
        inputs: &[
            ("with GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("with a query", b"OPTIONS *?x HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("with a path", b"OPTIONS */json HTTP/1.1\r\nHost: a\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 3986, 3.3",
        says: "a path is ASCII; bytes that are not even UTF-8 are refused",
        inputs: &[("a byte beyond UTF-8", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n")],
        answer: Answer::Refused(400),
    },
];

#[test]
fn targets_and_hosts_are_read_as_the_standard_says() {
    check(RULES);
}
