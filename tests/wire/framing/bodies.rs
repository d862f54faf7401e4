//! Where a body would be: `Transfer-Encoding`, `Content-Length`, chunks and trailers; RFC 9112, sections 6 and 7.
//!
//! **Invariant:** a request that announces a body, or whose length two readers could take differently, is the last on its connection.

use super::{Answer, Rule, check};

pub(super) const RULES: &[Rule] = &[
    Rule {
        clause: "RFC 9112, 6.1",
        says: "no route takes a coded body: any `Transfer-Encoding` is 400, understood or not, so that none is ever decoded",
        inputs: &[
            ("chunked", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("another case", b"GET /json HTTP/1.1\r\nHost: a\r\ntransfer-encodinG: cHunKed\r\n\r\n0\r\n\r\n"),
            ("an unknown coding, on PUT", b"PUT /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
            ("identity", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
            ("an empty one", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
            ("in HTTP/1.0", b"GET /json HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n"),
            ("on /plaintext", b"GET /plaintext HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("on a route with rows", b"GET /fortunes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9112, 6.1",
        says: "codings that one reader takes for chunked and another does not (TE.TE)",
        inputs: &[
            ("xchunked", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
            ("in quotes", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
            ("behind a tab", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n"),
            ("before a vertical tab", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n"),
            ("gzip, chunked", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            ("chunked, identity", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
            ("chunked twice", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
            ("two fields", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("two fields, turned round", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n"),
            ("a parameter", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9112, 6.1",
        says: "`Content-Length` beside `Transfer-Encoding` (CL.TE, TE.CL): a server MAY reject it, and MUST close",
        inputs: &[
            ("length first", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("coding first", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
            ("a length of 0", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("with identity", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n"),
            ("a length that hides a request", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 46\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9112, 6.3",
        says: "a body on a GET has no meaning: it is refused unread",
        inputs: &[
            ("a length that hides a request", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 41\r\n\r\n"),
            ("a body of 1", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"),
            ("zeros before the number", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\nhello"),
            ("one that never comes whole", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\nx"),
            ("on HEAD", b"HEAD /db HTTP/1.0\r\nTransfer-Encoding: x\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9110, 8.6",
        says: "`Content-Length` is digits and nothing else, of any number; a list of equal ones MAY be rejected",
        inputs: &[
            ("-1", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
            ("-0", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: -0\r\n\r\n"),
            ("+5", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"),
            ("+0", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n"),
            ("5x", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 5x\r\n\r\nhello"),
            ("0x5", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello"),
            ("5.0", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 5.0\r\n\r\nhello"),
            ("5e0", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 5e0\r\n\r\nhello"),
            ("nothing", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
            ("a space within", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\nhello"),
            ("beyond 64 bits", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n"),
            ("that is 0 in 64 bits", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 184467440737095516160\r\n\r\n"),
            ("a list", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello"),
            ("a list of equals", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n"),
            ("a list with 0", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 0,5\r\n\r\nhello"),
            ("digits of another script", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: \xd9\xa5\r\n\r\nhello"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9110, 8.6",
        says: "a length that is past counting",
        inputs: &[(
            "the largest of 64 bits",
            b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n",
        )],
        answer: Answer::Refused(431),
    },
    Rule {
        clause: "RFC 9112, 6.3",
        says: "lengths that differ MUST be answered with 400 and a close",
        inputs: &[
            ("0 and 5", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello"),
            ("5 and 0", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\nhello"),
            ("0 and nonsense", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 00x\r\n\r\n"),
            ("on a route that takes bodies", b"POST /lab/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9112, 6.3",
        says: "a length of 0 is no body, said once or more often",
        inputs: &[
            ("0", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
            ("000", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 000\r\n\r\n"),
            ("blanks around", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length:\t 0 \r\n\r\n"),
            ("twice", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"),
        ],
        answer: Answer::Served(200),
    },
    Rule {
        clause: "RFC 9112, 7.1",
        says: "chunks are never read: a method that a route does not have is 405, and the connection ends",
        inputs: &[
            ("chunks that hold a request", b"POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n29\r\nGET /plaintext HTTP/1.1\r\nHost: hidden\r\n\r\n\r\n0\r\n\r\n"),
            ("a size beyond 64 bits", b"POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n0\r\n\r\n"),
            ("a signed size", b"POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n"),
            ("0x before a size", b"POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
            ("both, on DELETE", b"DELETE /json HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("a body by its length", b"POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
        ],
        answer: Answer::Refused(405),
    },
    Rule {
        clause: "RFC 9112, 6.3",
        says: "a body is as little read where nothing takes the request",
        inputs: &[
            ("on an unknown path", b"GET /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 41\r\n\r\n"),
            ("coded, on an unknown path", b"PUT /nothing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ],
        answer: Answer::Refused(404),
    },
    Rule {
        clause: "RFC 9110, 9.3.7",
        says: "a body on OPTIONS has no meaning here; the connection ends with it",
        inputs: &[
            ("by its length", b"OPTIONS /json HTTP/1.1\r\nHost: a\r\nContent-Length: 41\r\n\r\n"),
            ("coded", b"OPTIONS /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        ],
        answer: Answer::Refused(200),
    },
    Rule {
        clause: "RFC 9112, 7.1.1",
        says: "chunk extensions, which a recipient MUST ignore, are as little read",
        inputs: &[
            ("an extension", b"POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n"),
            ("a bare LF in one", b"POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x\nGET /x HTTP/1.1\r\n0\r\n\r\n"),
            ("one that never ends", b"POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;xxxxxxxxxxxxxxxxxxxxxxxxx"),
        ],
        answer: Answer::Refused(405),
    },
    Rule {
        clause: "RFC 9112, 7.1.2",
        says: "and so are trailers",
        inputs: &[
            ("a trailer", b"POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n"),
            ("a trailer that frames", b"POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 41\r\n\r\n"),
        ],
        answer: Answer::Refused(405),
    },
];

#[test]
fn what_announces_a_body_is_the_last_on_its_connection() {
    check(RULES);
}
