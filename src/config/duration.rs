//! Durations as people write them: `3s`, `1.8s`, `500ms`, `1m 30s`.
//!
//! **Invariant:** a duration without a unit is refused, never guessed.

use std::time::Duration;

use jiff::SignedDuration;

/// The longest duration that a setting takes; longer ones are slips of the pen.
const LONGEST: Duration = Duration::from_hours(24);

/// Reads a duration above zero and of a day at most.
pub fn parse(text: &str) -> Result<Duration, String> {
    let duration = parse_or_zero(text)?;
    if duration.is_zero() { Err("must be longer than zero".into()) } else { Ok(duration) }
}

/// Reads a duration of zero to a day.
pub fn parse_or_zero(text: &str) -> Result<Duration, String> {
    let signed: SignedDuration = text
        .parse()
        .map_err(|_| "not a duration: write a number and a unit, as in 3s, 1.8s or 500ms".to_owned())?;
    let duration = Duration::try_from(signed).map_err(|_| "must not be negative".to_owned())?;
    if duration > LONGEST { Err("longer than a day".into()) } else { Ok(duration) }
}

/// Writes a duration as [`parse`] reads it.
pub fn display(duration: Duration) -> String {
    let millis = duration.as_millis();
    match (millis / 1000, millis % 1000) {
        (seconds, 0) => format!("{seconds}s"),
        (0, millis) => format!("{millis}ms"),
        (seconds, millis) => format!("{seconds}.{}s", format!("{millis:03}").trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_fractions_and_milliseconds_are_read() {
        assert_eq!(parse("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(parse("1.8s"), Ok(Duration::from_millis(1800)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("1m 30s"), Ok(Duration::from_secs(90)));
    }

    #[test]
    fn zero_negative_endless_and_bare_numbers_are_refused() {
        for text in ["0s", "-1s", "3", "", "25h", "soon"] {
            assert!(parse(text).is_err(), "{text:?} was taken");
        }
        assert_eq!(parse_or_zero("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        for text in ["3s", "1.8s", "500ms", "90s", "1.025s"] {
            assert_eq!(display(parse(text).unwrap()), text);
        }
    }
}
