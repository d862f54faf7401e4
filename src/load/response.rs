//! Reads responses as they come, in whatever pieces: heads by httparse, bodies by length, in chunks, or to the end.
//!
//! **Invariant:** a body is counted and dropped; only an unfinished head or an unfinished line of a chunk is ever kept.

use httparse::{EMPTY_HEADER, Status};

/// The longest head, or line between chunks, that is read.
pub(super) const LONGEST_HEAD: usize = 32 * 1024;
/// The most headers of one response.
const MOST_HEADERS: usize = 100;

/// What is expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Head,
    Body {
        left: u64,
    },
    ChunkSize,
    Chunk {
        left: u64,
    },
    ChunkEnd,
    Trailer,
    /// A body that ends with the connection.
    Rest,
}

/// A whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The connection ends behind it.
    pub(super) last: bool,
}

/// What is sent is no HTTP/1 response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotHttp;

/// How far the responses of one connection have been read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    expected: Expected,
    answer: Answer,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { expected: Expected::Head, answer: Answer { status: 0, last: false } }
    }

    /// Reads on. Says how many bytes were used, and whether a response became whole with the last of them; where none did, the bytes
    /// that were not used are to be given again with what follows them.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, Option<Answer>), NotHttp> {
        let mut used = 0;
        loop {
            let left = &bytes[used..];
            if left.is_empty() && self.expected != (Expected::Body { left: 0 }) {
                return Ok((used, None));
            }
            let step = match self.expected {
                Expected::Head => self.head(left)?,
                Expected::ChunkSize => self.chunk_size(left)?,
                Expected::ChunkEnd => self.chunk_end(left)?,
                Expected::Trailer => self.trailer(left)?,
                Expected::Rest => Some(left.len()),
                Expected::Body { left: 0 } => return Ok((used, Some(self.finish()))),
                Expected::Body { left: wanted } => {
                    let (taken, rest) = take(left, wanted);
                    self.expected = Expected::Body { left: rest };
                    Some(taken)
                }
                Expected::Chunk { left: wanted } => {
                    let (taken, rest) = take(left, wanted);
                    self.expected =
                        if rest == 0 { Expected::ChunkEnd } else { Expected::Chunk { left: rest } };
                    Some(taken)
                }
            };
            match step {
                Some(taken) => used += taken,
                None if left.len() >= LONGEST_HEAD => return Err(NotHttp),
                None => return Ok((used, None)),
            }
        }
    }

    /// The other side closed: a response that had no other end is whole now.
    pub(super) fn end(&mut self) -> Option<Answer> {
        (self.expected == Expected::Rest).then(|| self.finish())
    }

    fn finish(&mut self) -> Answer {
        self.expected = Expected::Head;
        self.answer
    }

    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotHttp> {
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let Status::Complete(length) = response.parse(bytes).map_err(|_| NotHttp)? else { return Ok(None) };
        let status = response.code.ok_or(NotHttp)?;
        let mut last = response.version == Some(0);
        let (mut body, mut is_coded, mut chunked) = (None, false, false);
        for header in response.headers.iter() {
            let name = header.name;
            if name.eq_ignore_ascii_case("content-length") {
                let announced = content_length(header.value).ok_or(NotHttp)?;
                if body.replace(announced).is_some_and(|before| before != announced) {
                    return Err(NotHttp);
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                // The last coding decides, which only chunked ends before the connection does.
                is_coded = true;
                let last_coding = header.value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
                chunked = last_coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
            } else if name.eq_ignore_ascii_case("connection") {
                last = (last && !holds_word(header.value, "keep-alive")) || holds_word(header.value, "close");
            }
        }
        // RFC 9112, section 6.3: what ends a body, in the order in which it is decided.
        self.expected = match status {
            // Interim answers are not the answer, an upgrade leaves HTTP, and below them there is none (RFC 9110, section 15).
            ..100 | 101 => return Err(NotHttp),
            100..=199 => Expected::Head,
            204 | 304 => Expected::Body { left: 0 },
            _ if chunked => Expected::ChunkSize,
            _ if is_coded => Expected::Rest,
            _ => body.map_or(Expected::Rest, |left| Expected::Body { left }),
        };
        self.answer = Answer { status, last: last || self.expected == Expected::Rest };
        Ok(Some(length))
    }

    fn chunk_size(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotHttp> {
        let Status::Complete((used, size)) = httparse::parse_chunk_size(bytes).map_err(|_| NotHttp)? else {
            return Ok(None);
        };
        self.expected = if size == 0 { Expected::Trailer } else { Expected::Chunk { left: size } };
        Ok(Some(used))
    }

    fn chunk_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotHttp> {
        match bytes {
            [b'\r', b'\n', ..] => {
                self.expected = Expected::ChunkSize;
                Ok(Some(2))
            }
            [b'\r'] => Ok(None),
            _ => Err(NotHttp),
        }
    }

    /// One line behind the last chunk; an empty one ends the response.
    fn trailer(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotHttp> {
        let Some(end) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
        if end == 0 || bytes[end - 1] != b'\r' {
            return Err(NotHttp);
        }
        if end == 1 {
            self.expected = Expected::Body { left: 0 };
        }
        Ok(Some(end + 1))
    }
}

/// How many of the bytes belong to a body that wants so many, and how many it wants then.
fn take(bytes: &[u8], wanted: u64) -> (usize, u64) {
    let taken = usize::try_from(wanted).unwrap_or(usize::MAX).min(bytes.len());
    (taken, wanted.saturating_sub(taken as u64))
}

/// `1*DIGIT` (RFC 9110, section 8.6), without the sign that Rust's numbers may have.
fn content_length(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok()?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Whether a header that is a list holds a word.
fn holds_word(value: &[u8], word: &str) -> bool {
    value.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a text in pieces of a size, as an engine does: what was not used comes again.
    fn read_in_pieces(text: &str, size: usize) -> Result<Vec<u16>, NotHttp> {
        let mut reader = Reader::new();
        let (mut kept, mut statuses) = (Vec::new(), Vec::new());
        for piece in text.as_bytes().chunks(size) {
            kept.extend_from_slice(piece);
            loop {
                let (used, answer) = reader.read(&kept)?;
                kept.drain(..used);
                match answer {
                    Some(answer) => statuses.push(answer.status),
                    None => break,
                }
            }
        }
        statuses.extend(reader.end().map(|answer| answer.status));
        assert!(kept.is_empty(), "bytes are left over");
        Ok(statuses)
    }

    const ALL_KINDS: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
        HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nA: b\r\n\r\n\
        HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\nHTTP/1.1 202 x\r\n\r\nto the end";

    #[test]
    fn responses_are_read_whatever_the_cut() {
        for size in 1..ALL_KINDS.len() {
            assert_eq!(
                read_in_pieces(ALL_KINDS, size),
                Ok(vec![200, 201, 204, 503, 202]),
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn the_last_coding_decides_where_a_body_ends() {
        let read = |codings: &str| {
            read_in_pieces(&format!("HTTP/1.1 200 OK\r\n{codings}\r\n\r\n1\r\nx\r\n0\r\n\r\n"), 7)
        };
        for codings in [
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
            "Content-Length: 1\r\nTransfer-Encoding: Chunked",
            "Transfer-Encoding: chunked, gzip",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x",
        ] {
            assert_eq!(read(codings), Ok(vec![200]), "{codings}");
        }
    }

    #[test]
    fn a_response_says_whether_it_is_the_last() {
        let last = |head: &str| {
            Reader::new().read(format!("{head}\r\n\r\n").as_bytes()).map(|(_, a)| a.map(|a| a.last))
        };
        assert_eq!(last("HTTP/1.1 200 OK\r\nContent-Length: 0"), Ok(Some(false)));
        assert_eq!(last("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close"), Ok(Some(true)));
        assert_eq!(last("HTTP/1.0 200 OK\r\nContent-Length: 0"), Ok(Some(true)));
        assert_eq!(last("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive"), Ok(Some(false)));
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for text in [
            "SSH-2.0-other\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 099 x\r\n\r\n",
        ] {
            assert_eq!(read_in_pieces(text, text.len()), Err(NotHttp), "{text:?} was taken");
        }
    }

    #[test]
    fn a_head_as_long_as_the_limit_is_refused_and_one_byte_less_is_awaited() {
        let begun = |length: usize| format!("{:a<length$}", "HTTP/1.1 200 OK\r\nA: ");
        assert_eq!(Reader::new().read(begun(LONGEST_HEAD - 1).as_bytes()), Ok((0, None)));
        assert_eq!(Reader::new().read(begun(LONGEST_HEAD).as_bytes()), Err(NotHttp));
    }
}
