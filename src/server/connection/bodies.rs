//! The one kind of body that is let through to hyper: of the laboratory's echo, as long as its head says.
//!
//! Only a server with `--lab` looks at heads here; to every other, all that comes is heads.
//!
//! **Invariant:** a body's bytes are handed on unread and counted exactly; the byte behind them begins a head.

use super::scan::{Scanned, Scanner};
use crate::http::body_length;

/// Where in a body the stream stands.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Bodies {
    /// Bytes of the body that have not come yet.
    left: usize,
}

impl Bodies {
    /// Goes through the next run of the stream, as [`Scanner::feed`] does; `begun` is what came before of the head that is not whole.
    /// Cold, since hardly any server comes here.
    #[cold]
    pub(super) fn feed(&mut self, scanner: &mut Scanner, begun: &[u8], bytes: &[u8]) -> Scanned {
        let mut found = Scanned { whole: 0, heads: 0, refusal: None };
        let mut begun = begun;
        loop {
            let body = self.left.min(bytes.len() - found.whole);
            self.left -= body;
            found.whole += body;
            let rest = &bytes[found.whole..];
            let next = scanner.feed_one(rest);
            if next.heads == 0 {
                return Scanned { refusal: next.refusal, ..found };
            }
            let head = &rest[..next.whole];
            self.left =
                if begun.is_empty() { body_length(head) } else { body_length(&[begun, head].concat()) };
            begun = &[];
            found.whole += next.whole;
            found.heads += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::connection::refusal::Refusal;

    const GET: &[u8] = b"GET /json HTTP/1.1\r\nHost: a\r\n\r\n";
    /// Its body looks like a request that is refused, and like the beginning of another.
    const POST: &[u8] =
        b"POST /lab/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\nGET /bare\nHost: a\r\n\r\nPOST /";

    /// Feeds a stream in two pieces, holding back what the guard holds back, and gives what was whole.
    fn feed_cut(stream: &[u8], cut: usize) -> (usize, u32, Option<Refusal>, bool) {
        let (mut bodies, mut scanner) = (Bodies::default(), Scanner::default());
        let first = bodies.feed(&mut scanner, &[], &stream[..cut]);
        if first.refusal.is_some() {
            return (first.whole, first.heads, first.refusal, false);
        }
        let second = bodies.feed(&mut scanner, &stream[first.whole..cut], &stream[cut..]);
        let whole = if second.whole > 0 { cut + second.whole } else { first.whole };
        (whole, first.heads + second.heads, second.refusal, scanner.is_within_head())
    }

    #[test]
    fn bodies_are_counted_wherever_the_stream_is_cut() {
        let stream = [GET, POST, POST, GET, GET].concat();
        for cut in 0..=stream.len() {
            assert_eq!(feed_cut(&stream, cut), (stream.len(), 5, None, false), "cut at {cut}");
        }
    }

    #[test]
    fn what_follows_a_body_is_a_head_again_and_as_strictly_read() {
        let stream = [POST, b"GET / HTTP/1.1\nHost: a\r\n\r\n"].concat();
        for cut in 0..=stream.len() {
            let (whole, heads, refusal, _) = feed_cut(&stream, cut);
            assert_eq!((whole, heads, refusal), (POST.len(), 1, Some(Refusal::BareLineFeed)), "cut at {cut}");
        }
    }

    #[test]
    fn half_a_body_is_handed_on_and_is_no_part_of_a_head() {
        let stream = &POST[..POST.len() - 7];
        for cut in 0..=stream.len() {
            assert_eq!(feed_cut(stream, cut), (stream.len(), 1, None, false), "cut at {cut}");
        }
    }
}
