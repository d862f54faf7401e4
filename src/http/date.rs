//! The `Date` header (RFC 9110, section 6.6.1), rendered once a second.
//!
//! **Invariant:** it shows the wall clock, whichever way that was set: nothing compares the new second with the old one.
//! hyper's own cache stands still while a clock that stepped back catches up.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::HeaderValue;

/// The header's value for this second.
#[derive(Debug)]
pub(crate) struct DateClock(RefCell<HeaderValue>);

impl DateClock {
    /// A clock that shows the given time until it is told another.
    pub(crate) fn new(now: SystemTime) -> Self {
        Self(RefCell::new(render(now)))
    }

    /// The value as it stands.
    pub(crate) fn value(&self) -> HeaderValue {
        self.0.borrow().clone()
    }

    /// Shows this time from now on.
    pub(crate) fn set(&self, now: SystemTime) {
        *self.0.borrow_mut() = render(now);
    }

    /// How long until the next second begins.
    pub(crate) fn until_next_second(now: SystemTime) -> Duration {
        let past = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        Duration::from_secs(1).saturating_sub(Duration::from_nanos(past.into()))
    }
}

fn render(now: SystemTime) -> HeaderValue {
    // A clock before 1970 or past 9999 has no such date; the epoch stands for it.
    let four_digit_years = Duration::from_secs(253_402_300_799);
    let shown = match now.duration_since(UNIX_EPOCH) {
        Ok(since) if since <= four_digit_years => now,
        _ => UNIX_EPOCH,
    };
    let text = httpdate::fmt_http_date(shown);
    HeaderValue::try_from(text)
        .unwrap_or_else(|_| unreachable!("a date is letters, digits, commas and colons"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_steps_back_is_followed() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let clock = DateClock::new(at(784_111_777));
        assert_eq!(clock.value(), "Sun, 06 Nov 1994 08:49:37 GMT");
        clock.set(at(784_111_700));
        assert_eq!(clock.value(), "Sun, 06 Nov 1994 08:48:20 GMT");
    }

    #[test]
    fn impossible_clocks_do_no_harm() {
        assert_eq!(render(UNIX_EPOCH - Duration::from_secs(5)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(
            render(UNIX_EPOCH + Duration::from_secs(400_000_000_000)),
            "Thu, 01 Jan 1970 00:00:00 GMT"
        );
    }

    #[test]
    fn the_next_second_is_never_further_than_a_second() {
        assert_eq!(DateClock::until_next_second(UNIX_EPOCH), Duration::from_secs(1));
        let late = UNIX_EPOCH + Duration::from_millis(1_999);
        assert_eq!(DateClock::until_next_second(late), Duration::from_millis(1));
    }
}
