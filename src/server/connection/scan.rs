//! Finds the ends of request heads in a byte stream and what the contract refuses in them.
//!
//! Every route is a GET without a body, so a connection's bytes are one head after another; a request with a body is the last
//! one that is read. The laboratory's echo alone takes bodies, which [`super::bodies`] keeps from being scanned.
//!
//! **Invariant:** a refused head's bytes are never counted as whole, and scanning ends with it.

use super::refusal::Refusal;

/// The longest request line (RFC 9112, section 3, wants 8000 octets at the least), line end included.
pub(super) const LONGEST_REQUEST_LINE: usize = 8_192;
/// The longest head, request line and blank line included.
pub(super) const LONGEST_HEAD: usize = 16 * 1024;

/// Where in a head the stream stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scanner {
    /// Bytes of the head so far.
    head: usize,
    /// Bytes of the line so far.
    line: usize,
    /// Whether the request line has ended.
    past_request_line: bool,
    /// Whether the last byte was a carriage return.
    after_cr: bool,
}

/// What a run of bytes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Bytes up to the end of the last whole head in this run.
    pub(super) whole: usize,
    /// Heads that end in this run.
    pub(super) heads: u32,
    /// Why the head after them is refused, if it is.
    pub(super) refusal: Option<Refusal>,
}

impl Scanner {
    /// Goes through the next run of the stream.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Scanned {
        self.scan::<false>(bytes)
    }

    /// Goes on to the end of the next head, and not beyond it.
    pub(super) fn feed_one(&mut self, bytes: &[u8]) -> Scanned {
        self.scan::<true>(bytes)
    }

    fn scan<const ONE: bool>(&mut self, bytes: &[u8]) -> Scanned {
        let mut scanned = Scanned { whole: 0, heads: 0, refusal: None };
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let after_cr = if end > start { bytes[end - 1] == b'\r' } else { self.after_cr && self.line > 0 };
            let line = self.line + (end + 1 - start);
            if let Some(refusal) = self.refuse(line, after_cr) {
                return Scanned { refusal: Some(refusal), ..scanned };
            }
            self.end_line(line);
            start = end + 1;
            if self.head == 0 {
                scanned.whole = start;
                scanned.heads += 1;
                if ONE {
                    return scanned;
                }
            }
        }
        let rest = &bytes[start..];
        if !rest.is_empty() {
            self.line += rest.len();
            self.after_cr = rest.ends_with(b"\r");
            scanned.refusal = self.refuse(self.line, true);
        }
        scanned
    }

    /// Whether part of a head has come, and not all of it. Blank lines before a request line are no part of one: a server that expects
    /// a request ignores them (RFC 9112, section 2.2), so that a client which sends one behind its request is as idle as any.
    pub(super) fn is_within_head(&self) -> bool {
        self.past_request_line || self.line > 0
    }

    /// Refuses for what the bytes would have shown first had they come one by one, so that no answer depends on how they are cut.
    fn refuse(&self, line: usize, well_ended: bool) -> Option<Refusal> {
        // Nearly always: far from either limit.
        if well_ended && self.head + line <= LONGEST_REQUEST_LINE {
            return None;
        }
        if !self.past_request_line
            && line > LONGEST_REQUEST_LINE
            && self.head + LONGEST_REQUEST_LINE <= LONGEST_HEAD
        {
            Some(Refusal::TargetTooLong)
        } else if self.head + line > LONGEST_HEAD {
            Some(Refusal::HeadTooLarge)
        } else if !well_ended {
            Some(Refusal::BareLineFeed)
        } else {
            None
        }
    }

    fn end_line(&mut self, line: usize) {
        let blank = line == 2;
        if blank && self.past_request_line {
            *self = Self::default();
            return;
        }
        // Blank lines before a request line are skipped (RFC 9112, section 2.2), but count towards its head.
        self.past_request_line |= !blank;
        self.head += line;
        self.line = 0;
        self.after_cr = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET /json HTTP/1.1\r\nHost: a\r\n\r\n";

    fn scan(bytes: &[u8]) -> Scanned {
        Scanner::default().feed(bytes)
    }

    #[test]
    fn heads_are_found_wherever_the_stream_is_cut() {
        let stream = [HEAD, HEAD, b"GET /d"].concat();
        for cut in 0..=stream.len() {
            let mut scanner = Scanner::default();
            let first = scanner.feed(&stream[..cut]);
            let second = scanner.feed(&stream[cut..]);
            assert_eq!((first.refusal, second.refusal), (None, None), "cut at {cut}");
            assert_eq!(first.heads + second.heads, 2, "cut at {cut}");
            assert_eq!(
                if second.heads > 0 { cut + second.whole } else { first.whole },
                2 * HEAD.len(),
                "cut at {cut}"
            );
            assert!(scanner.is_within_head());
        }
    }

    #[test]
    fn a_bare_line_feed_is_refused_wherever_it_stands_and_however_it_is_cut() {
        let streams: [&[u8]; 5] = [
            b"GET / HTTP/1.1\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\n",
            b"\nGET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n\nGET",
        ];
        for stream in streams {
            for cut in 0..=stream.len() {
                let mut scanner = Scanner::default();
                let refusal =
                    scanner.feed(&stream[..cut]).refusal.or_else(|| scanner.feed(&stream[cut..]).refusal);
                assert_eq!(
                    refusal,
                    Some(Refusal::BareLineFeed),
                    "{:?} cut at {cut}",
                    stream.escape_ascii().to_string()
                );
            }
        }
    }

    #[test]
    fn heads_before_a_refused_one_are_whole() {
        let scanned = scan(&[HEAD, b"GET / HTTP/1.1\n"].concat());
        assert_eq!(scanned, Scanned { whole: HEAD.len(), heads: 1, refusal: Some(Refusal::BareLineFeed) });
    }

    #[test]
    fn blank_lines_before_a_request_are_no_head() {
        assert_eq!(scan(&[b"\r\n\r\n", HEAD].concat()).heads, 1);
        assert_eq!(scan(b"\r\n\r\n").heads, 0);
        let mut scanner = Scanner::default();
        scanner.feed(b"\r\n\r\n");
        assert!(!scanner.is_within_head(), "nothing has begun that could be late");
        scanner.feed(b"\r");
        assert!(scanner.is_within_head(), "half a line");
        assert_eq!(scan(&b"\r\n".repeat(LONGEST_HEAD)).refusal, Some(Refusal::HeadTooLarge));
    }

    #[test]
    fn long_lines_and_heads_are_refused_before_they_end() {
        assert_eq!(scan(&vec![b'a'; LONGEST_REQUEST_LINE + 1]).refusal, Some(Refusal::TargetTooLong));
        assert_eq!(scan(&vec![b'a'; LONGEST_REQUEST_LINE]).refusal, None);
        let long_header = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &vec![b'a'; LONGEST_HEAD]].concat();
        assert_eq!(scan(&long_header).refusal, Some(Refusal::HeadTooLarge));
    }

    #[test]
    fn a_limit_holds_to_the_byte_and_however_the_bytes_are_cut() {
        let line = |length: usize| [vec![b'a'; length - 2], b"\r\n".to_vec()].concat();
        let head = |length: usize| [b"G\r\nx: ".to_vec(), line(length - 8), b"\r\n".to_vec()].concat();
        for (stream, refusal) in [
            (line(LONGEST_REQUEST_LINE), None),
            (line(LONGEST_REQUEST_LINE + 1), Some(Refusal::TargetTooLong)),
            (head(LONGEST_HEAD), None),
            (head(LONGEST_HEAD + 1), Some(Refusal::HeadTooLarge)),
            // Too long as well as badly ended: the length shows first.
            ([line(LONGEST_REQUEST_LINE), b"\n".to_vec()].concat(), Some(Refusal::BareLineFeed)),
            ([vec![b'a'; LONGEST_REQUEST_LINE], b"\n".to_vec()].concat(), Some(Refusal::TargetTooLong)),
            ([b"\r\n".repeat(LONGEST_HEAD / 2), vec![b'a'; 9_000]].concat(), Some(Refusal::HeadTooLarge)),
        ] {
            assert_eq!(scan(&stream).refusal, refusal, "{} bytes at once", stream.len());
            let mut scanner = Scanner::default();
            let one_by_one = stream.iter().find_map(|byte| scanner.feed(&[*byte]).refusal);
            assert_eq!(one_by_one, refusal, "{} bytes one by one", stream.len());
        }
    }
}
