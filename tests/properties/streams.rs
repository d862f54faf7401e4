//! A stream of requests, cut anywhere and parked in between, is answered as it is when it comes whole.
//!
//! **Invariant:** what a stream is answered with is what the same bytes get in one write, but for the date.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::sample::{Index, select};

use crate::harness::{Client, ServerSetup, TestServer, draw, unused_port};

/// Requests after which the connection goes on.
const GOOD: [&str; 8] = [
    "GET /json HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /plaintext HTTP/1.1\r\nhost:a\r\nContent-Length: 0\r\n\r\n",
    "\r\nGET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /json HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /db HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /nothing HTTP/1.1\r\nHost: a\r\nX: é\r\n\r\n",
    "DELETE /json HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /json HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
];
/// What ends a connection, or nothing.
const LAST: [&str; 9] = [
    "",
    "",
    "GET /json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET /json HTTP/1.1\r\n\r\n",
    "GET /json HTTP/1.1\nHost: a\r\n\r\n",
    "GET /json HTTP/1.1\r\nHost : a\r\n\r\n",
    "POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /json HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "GET /js",
];

/// A stream, and where it is cut.
#[derive(Debug, Clone)]
struct Stream {
    requests: Vec<&'static str>,
    last: &'static str,
    /// Each is a place and whether to go back to the end of a request, and wait there until the connection is parked.
    cuts: Vec<(Index, bool)>,
}

fn streams() -> impl Strategy<Value = Stream> {
    let cuts = vec(any::<(Index, bool)>(), 0..5);
    (vec(select(GOOD.as_slice()), 1..7), select(LAST.as_slice()), cuts)
        .prop_map(|(requests, last, cuts)| Stream { requests, last, cuts })
}

/// Status, body and whether the answer says that it is the last.
type Answer = (u16, Vec<u8>, bool);

/// The next answers, up to the end of the connection or to so many of them.
fn receive(client: &mut Client, asked: &[&str], already: usize, until: usize) -> Vec<Answer> {
    let mut answers = Vec::new();
    for request in asked[..until].iter().skip(already) {
        let answer = if request.trim_start().starts_with("HEAD") {
            client.receive_without_body()
        } else {
            match client.try_receive() {
                Ok(answer) => answer,
                Err(_) => break,
            }
        };
        // HTTP/1.0 ends with each answer that does not say otherwise (RFC 9112, section 9.3).
        let is_last = match answer.version.as_str() {
            "HTTP/1.0" => answer.header("connection") != Some("keep-alive"),
            _ => answer.announces_close(),
        };
        answers.push((answer.status, answer.body, is_last));
        if is_last {
            break;
        }
    }
    answers
}

/// Where the stream is cut, in order, how many requests are whole by then, and whether the connection is idle there.
fn places(stream: &Stream, length: usize) -> Vec<(usize, usize, bool)> {
    let ends = |upto: usize| stream.requests[..upto].iter().map(|request| request.len()).sum::<usize>();
    let mut places = Vec::new();
    for (cut, parks) in &stream.cuts {
        let at = cut.index(length);
        let whole = (0..=stream.requests.len()).rev().find(|upto| ends(*upto) <= at).unwrap_or(0);
        // A blank line before the next request changes nothing.
        let blank = stream.requests.get(whole).is_some_and(|next| next.starts_with("\r\n")) && at % 2 == 0;
        let at = if *parks { ends(whole) + 2 * usize::from(blank) } else { at };
        places.push((at, whole, *parks && whole > 0));
    }
    places.sort_unstable();
    places
}

fn check(server: &TestServer, stream: &Stream) {
    let asked: Vec<&str> = stream.requests.iter().copied().chain([stream.last]).collect();
    let bytes = asked.concat().into_bytes();
    let mut client = server.connect();
    client.send(&bytes);
    client.half_close();
    let whole = receive(&mut client, &asked, 0, asked.len());
    client.expect_close();
    assert!(whole.len() >= stream.requests.len(), "{whole:?}");

    let (mut client, mut sent, mut answers) = (server.connect(), 0, Vec::new());
    for (at, complete, parks) in places(stream, bytes.len()) {
        // The server may have refused already and closed.
        let _ = client.try_send(&bytes[sent..at]);
        sent = at;
        if parks {
            let more = receive(&mut client, &asked, answers.len(), complete);
            answers.extend(more);
            server.wait_until_parked(1);
        }
    }
    let _ = client.try_send(&bytes[sent..]);
    client.half_close();
    let more = receive(&mut client, &asked, answers.len(), asked.len());
    answers.extend(more);
    assert_eq!(answers, whole);
    client.expect_close();
}

#[test]
fn a_stream_of_requests_is_answered_alike_however_it_is_cut_and_parked() {
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    for more in [&[][..], &["--lab"]] {
        let server = ServerSetup::of(&["serve", "--port", "0", "--workers", "1", "--park-after", "1ms"])
            .args(more)
            .env("DATABASE_URL", &url)
            .start();
        draw::hold(48, "tests/regressions/streams.txt", streams(), |stream| check(&server, &stream));
    }
}
