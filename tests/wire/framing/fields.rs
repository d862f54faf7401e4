//! Fields: RFC 9112, section 5, and RFC 9110, section 5; and those that ask for something else than an answer.
//!
//! **Invariant:** a field that two readers could take apart differently is refused; one that asks too much is not heeded.

use super::{Answer, Rule, check};

pub(super) const RULES: &[Rule] = &[
    Rule {
        clause: "RFC 9112, 5.1",
        says: "whitespace between a field's name and its colon MUST be answered with 400",
        inputs: &[
            ("a space", b"GET /json HTTP/1.1\r\nHost : a\r\n\r\n"),
            ("a tab", b"GET /json HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n"),
            ("before a length", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello"),
            ("before a coding", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9112, 5.2",
        says: "a folded line MUST be answered with 400 or read as spaces",
        inputs: &[
            ("folded by a space", b"GET /json HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"),
            ("folded by a tab", b"GET /json HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n"),
            ("a folded coding", b"GET /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
            ("a folded length", b"GET /json HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 5\r\n\r\nhello"),
            ("a folded blank", b"GET /json HTTP/1.1\r\nHost: a\r\n \r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9110, 5.1",
        says: "a field's name is a token",
        inputs: &[
            ("no name", b"GET /json HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
            ("no colon", b"GET /json HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n"),
            ("NUL", b"GET /json HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n"),
            ("a bracket", b"GET /json HTTP/1.1\r\nHost: a\r\nX[0]: b\r\n\r\n"),
            ("a space within", b"GET /json HTTP/1.1\r\nHost: a\r\nContent Length: 5\r\n\r\nhello"),
            ("beyond ASCII", b"GET /json HTTP/1.1\r\nHost: a\r\n\xc3\xa9: b\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9110, 5.5",
        says: "a value that holds CR, LF or NUL MUST be rejected or mended; other controls are invalid too",
        inputs: &[
            ("NUL", b"GET /json HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
            ("a control", b"GET /json HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n"),
            ("DEL", b"GET /json HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n"),
        ],
        answer: Answer::Refused(400),
    },
    Rule {
        clause: "RFC 9110, 5.5",
        says: "blanks around a value are no part of it, and it may hold any byte beyond ASCII",
        inputs: &[
            ("blanks around", b"GET /json HTTP/1.1\r\nHost:  \ta \t \r\n\r\n"),
            ("an empty value", b"GET /json HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n"),
            ("beyond ASCII", b"GET /json HTTP/1.1\r\nHost: a\r\nX: \xff\xc3\r\n\r\n"),
            ("a tab within", b"GET /json HTTP/1.1\r\nHost: a\r\nX: a\tb\r\n\r\n"),
        ],
        answer: Answer::Served(200),
    },
    Rule {
        clause: "RFC 9110, 7.8",
        says: "a server MAY ignore `Upgrade`",
        inputs: &[
            ("to h2c", b"GET /json HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"),
            ("to WebSocket", b"GET /json HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"),
        ],
        answer: Answer::Served(200),
    },
    Rule {
        clause: "RFC 9110, 7.8",
        says: "and one that goes with `close` is answered and closed as any other",
        inputs: &[
            (
                "to anything, with close",
                b"GET /json HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: x\r\n\r\n",
            ),
        ],
        answer: Answer::Refused(200),
    },
    Rule {
        clause: "RFC 9110, 10.1.1",
        says: "an expectation without a body to wait for changes nothing, and one that is unknown MAY be 417",
        inputs: &[
            ("100-continue", b"GET /json HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"),
            ("another", b"GET /json HTTP/1.1\r\nHost: a\r\nExpect: cake\r\n\r\n"),
        ],
        answer: Answer::Served(200),
    },
    Rule {
        clause: "RFC 9110, 6.5",
        says: "`Trailer` and `TE` say what may come, which is nothing",
        inputs: &[
            ("Trailer", b"GET /json HTTP/1.1\r\nHost: a\r\nTrailer: Content-Length\r\n\r\n"),
            ("TE", b"GET /json HTTP/1.1\r\nHost: a\r\nTE: trailers, chunked\r\n\r\n"),
        ],
        answer: Answer::Served(200),
    },
];

#[test]
fn fields_are_read_as_the_standard_says() {
    check(RULES);
}
