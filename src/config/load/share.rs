//! A count, and a part of a whole: `1%` or a number.
//!
//! **Invariant:** a part is never more than its whole, and one that is above zero never rounds to nothing.

use std::num::NonZeroU32;

/// Reads a count above zero; `_` may stand between its digits, which makes `1_000_000` readable.
pub fn read_count(text: &str) -> Result<NonZeroU32, String> {
    let digits: String = text.chars().filter(|&c| c != '_').collect();
    digits
        .parse()
        .map_err(|_| "not a count: write a number above zero, as in 1000000 or 1_000_000".to_owned())
}

/// A part of a number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// So many thousandths of a per cent of them.
    Fraction(u32),
    /// So many.
    Count(u32),
}

/// 100 % in thousandths of a per cent.
const WHOLE: u32 = 100_000;

impl Share {
    /// Reads `1%`, `0.5%` or a number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(percent) = text.strip_suffix('%') else {
            if text.trim() == "0" {
                return Ok(Self::Count(0));
            }
            return read_count(text).map(|count| Self::Count(count.get()));
        };
        let refuse = || "not a share: write a number or a percentage to 100 %, as in 1% or 0.125%".to_owned();
        let (whole, part) = percent.split_once('.').unwrap_or((percent, "0"));
        if part.is_empty() || part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        let whole: u32 = whole.parse().map_err(|_| refuse())?;
        let part: u32 = format!("{part:0<3}").parse().map_err(|_| refuse())?;
        match whole.checked_mul(1000).and_then(|thousandths| thousandths.checked_add(part)) {
            Some(share) if share <= WHOLE => Ok(Self::Fraction(share)),
            _ => Err(refuse()),
        }
    }

    /// The share of a number of connections.
    pub fn of(self, all: u32) -> u32 {
        match self {
            Self::Count(count) => count.min(all),
            Self::Fraction(share) => {
                let part = (u64::from(all) * u64::from(share)).div_ceil(u64::from(WHOLE));
                u32::try_from(part).unwrap_or(all).min(all)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages_or_counts() {
        assert_eq!(Share::parse("1%").unwrap().of(1_000_000), 10_000);
        assert_eq!(Share::parse("0.125%").unwrap().of(1_000_000), 1_250);
        assert_eq!(Share::parse("100%").unwrap().of(7), 7);
        assert_eq!(Share::parse("1%").unwrap().of(10), 1, "a little is not nothing");
        assert_eq!(Share::parse("0%").unwrap().of(10), 0);
        assert_eq!(Share::parse("256").unwrap().of(1_000), 256);
        assert_eq!(Share::parse("256").unwrap().of(100), 100);
        assert_eq!(Share::parse("0").unwrap().of(100), 0);
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["", "%", "101%", "-1%", "1.0001%", "1.%", "many", "1.5"] {
            assert!(Share::parse(text).is_err(), "{text:?} was taken");
        }
        assert!(read_count("0").is_err());
        assert_eq!(read_count("1_000").unwrap().get(), 1000);
    }
}
