//! The number of rows a client asks for: `queries=N`, `count=N`.
//!
//! **Invariant:** always 1 to 500. Missing, empty, not an integer or below 1 reads as 1; above 500 reads as 500, whatever the
//! number of digits.

/// The most rows one request gets.
const MOST: u16 = 500;

/// Reads the number from the first parameter of this name in a query string.
pub(super) fn read(query: Option<&str>, name: &str) -> u16 {
    let value = query.and_then(|query| {
        query.split('&').find_map(|pair| pair.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')))
    });
    value.map_or(1, bounded)
}

fn bounded(digits: &str) -> u16 {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 1;
    }
    let number = digits
        .bytes()
        .fold(0_u16, |number, byte| number.saturating_mul(10).saturating_add(u16::from(byte - b'0')));
    number.clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_number_reads_as_1_to_500() {
        let cases = [
            (None, 1),
            (Some(""), 1),
            (Some("queries"), 1),
            (Some("queries="), 1),
            (Some("queries=abc"), 1),
            (Some("queries=0"), 1),
            (Some("queries=-1"), 1),
            (Some("queries=%2B5"), 1),
            (Some("queries=5.5"), 1),
            (Some("queries=1"), 1),
            (Some("queries=020"), 20),
            (Some("queries=500"), 500),
            (Some("queries=501"), 500),
            (Some("queries=65536"), 500),
            (Some("queries=99999999999999999999"), 500),
            (Some("other=9&queries=3"), 3),
            (Some("queries=3&queries=9"), 3),
            (Some("xqueries=3"), 1),
            (Some("queriesx=3"), 1),
        ];
        for (query, expected) in cases {
            assert_eq!(read(query, "queries"), expected, "{query:?}");
        }
    }
}
