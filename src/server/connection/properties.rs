//! What holds of any bytes that a client sends: heads end where hyper's parser says, and nothing depends on how the bytes are cut.
//!
//! **Invariant:** a head that the scanner calls whole is one that httparse ends at the same byte, or refuses; never one for whose rest
//! hyper would wait.

use httparse::{EMPTY_HEADER, Request, Status};

use super::MOST_HEADERS;
use super::bodies::Bodies;
use super::refusal::Refusal;
use super::scan::Scanner;

/// What was read of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    /// Bytes that were handed on.
    whole: usize,
    heads: u32,
    refusal: Option<Refusal>,
}

/// Reads a stream in pieces of the size that the first byte says, and whole.
///
/// # Panics
/// Where the two differ, or the heads are not those that httparse finds.
pub(crate) fn check_heads(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else { return };
    let piece = usize::from(*size) + 1;
    for takes_bodies in [false, true] {
        let whole = read(stream, stream.len().max(1), takes_bodies);
        assert_eq!(read(stream, piece, takes_bodies), whole, "in pieces of {piece}, bodies: {takes_bodies}");
    }
    check_ends(stream);
}

/// Reads as the guard does, which holds back what is not whole.
fn read(stream: &[u8], piece: usize, takes_bodies: bool) -> Reading {
    let (mut scanner, mut bodies) = (Scanner::default(), Bodies::default());
    let mut reading = Reading { whole: 0, heads: 0, refusal: None };
    let mut held: Vec<u8> = Vec::new();
    for bytes in stream.chunks(piece) {
        let found = if takes_bodies { bodies.feed(&mut scanner, &held, bytes) } else { scanner.feed(bytes) };
        let (whole, rest) = bytes.split_at(found.whole);
        if !whole.is_empty() {
            reading.whole += held.len() + whole.len();
            held.clear();
        }
        held.extend_from_slice(rest);
        reading.heads += found.heads;
        reading.refusal = found.refusal;
        if reading.refusal.is_some() {
            break;
        }
    }
    reading
}

/// Compares each head's end with httparse's, which is hyper's parser.
fn check_ends(stream: &[u8]) {
    let (mut scanner, mut rest, mut heads) = (Scanner::default(), stream, 0);
    loop {
        let found = scanner.feed_one(rest);
        if found.heads == 0 {
            if found.refusal.is_none() {
                assert!(!matches!(parse(rest), Ok(Status::Complete(_))), "a head was overlooked");
            }
            break;
        }
        let head = &rest[..found.whole];
        match parse(head) {
            Ok(Status::Complete(end)) => assert_eq!(end, head.len(), "two ends of one head"),
            Ok(Status::Partial) => panic!("hyper would wait for the rest of a whole head"),
            // hyper answers with a refusal of its own, and reads no further.
            Err(_) => return,
        }
        heads += 1;
        rest = &rest[found.whole..];
    }
    assert_eq!(read(stream, stream.len().max(1), false).heads, heads, "heads one by one and all at once");
}

fn parse(bytes: &[u8]) -> httparse::Result<usize> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    Request::new(&mut headers).parse(bytes)
}
