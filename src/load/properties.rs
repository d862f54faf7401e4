//! What holds of any bytes that a measured server sends.
//!
//! **Invariant:** what is read does not depend on the pieces in which it comes, and reading goes on or ends, but never stands still.

use super::response::{Answer, LONGEST_HEAD, NotHttp, Reader};

/// The first byte is the size of the pieces, the rest what comes.
///
/// # Panics
/// Where pieces read differently from the whole, or an answer is none that HTTP has.
pub(crate) fn check_responses(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else { return };
    // Longer heads are refused as soon as they are seen to be, which depends on the pieces.
    let stream = &stream[..stream.len().min(LONGEST_HEAD - 1)];
    let whole = read(stream, stream.len().max(1));
    assert_eq!(read(stream, usize::from(*size) + 1), whole, "in pieces of {}", usize::from(*size) + 1);
    for answer in &whole.0 {
        assert!((100..1000).contains(&answer.status) && answer.status / 100 != 1, "{answer:?}");
    }
}

/// The answers, and whether what follows them is none.
fn read(stream: &[u8], piece: usize) -> (Vec<Answer>, bool) {
    let mut reader = Reader::new();
    let (mut kept, mut answers) = (Vec::new(), Vec::new());
    for bytes in stream.chunks(piece) {
        kept.extend_from_slice(bytes);
        loop {
            match reader.read(&kept) {
                Err(NotHttp) => return (answers, true),
                Ok((used, answer)) => {
                    kept.drain(..used);
                    let Some(answer) = answer else { break };
                    assert!(used > 0, "an answer out of nothing");
                    answers.push(answer);
                }
            }
        }
    }
    answers.extend(reader.end());
    (answers, false)
}
