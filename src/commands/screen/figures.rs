//! Numbers as people read them.
//!
//! A number and its unit hold together by [`GLUE`], so that no line is broken between them.
//!
//! **Invariant:** what stands for a number that there is none of is a dash, never a zero.

/// What stands for a number that there is none of.
pub(in crate::commands) const NONE: &str = "–";

/// A blank at which no line is broken; a line shows it as any blank.
pub(in crate::commands) const GLUE: char = '\u{a0}';

/// A whole number in groups of three.
pub(in crate::commands) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(GLUE);
        }
        grouped.push(digit);
    }
    grouped
}

/// A whole number with what it counts, which takes an s where there isn't one of it.
pub(in crate::commands) fn counted(value: u64, what: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{}{GLUE}{what}{plural}", count(value))
}

/// A rate in six letters at the most: `0.4`, `87`, `45.6k`, `1.23M`.
pub(in crate::commands) fn rate(value: f64) -> String {
    match value {
        value if value < 0.05 => "0".into(),
        value if value < 9.95 => format!("{value:.1}"),
        value if value < 9_999.5 => format!("{value:.0}"),
        value if value < 999_950.0 => format!("{:.1}k", value / 1e3),
        value => format!("{:.2}M", value / 1e6),
    }
}

/// A time in five letters at the most: `46µs`, `1.2ms`, `12s`.
pub(in crate::commands) fn short_time(us: Option<f64>) -> String {
    let Some(us) = us else { return NONE.into() };
    match us {
        us if us < 999.5 => format!("{us:.0}µs"),
        us if us < 9_950.0 => format!("{:.1}ms", us / 1e3),
        us if us < 999_500.0 => format!("{:.0}ms", us / 1e3),
        us if us < 9_950_000.0 => format!("{:.1}s", us / 1e6),
        us => format!("{:.0}s", us / 1e6),
    }
}

/// A time with its unit and three digits or so.
pub(in crate::commands) fn time(us: Option<f64>) -> String {
    let Some(us) = us else { return NONE.into() };
    match us {
        us if us < 99.95 => format!("{us:.1}{GLUE}µs"),
        us if us < 999.5 => format!("{us:.0}{GLUE}µs"),
        us if us < 999_995.0 => format!("{:.2}{GLUE}ms", us / 1e3),
        us => format!("{:.2}{GLUE}s", us / 1e6),
    }
}

/// A share of one as so many in a hundred.
pub(in crate::commands) fn percent(share: f64) -> String {
    let hundredths = share * 100.0;
    if hundredths > 0.0 && hundredths < 9.95 {
        format!("{hundredths:.1}")
    } else {
        format!("{hundredths:.0}")
    }
}

/// Bytes in mebibytes.
#[expect(clippy::cast_precision_loss, reason = "shown to a tenth of a mebibyte")]
pub(in crate::commands) fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// Bytes with the unit that suits them.
pub(in crate::commands) fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown to a tenth of its unit")]
    let of = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        0..0x10_0000 => format!("{:.1}{GLUE}KiB", of(1 << 10)),
        0x10_0000..0x4000_0000 => format!("{:.1}{GLUE}MiB", of(1 << 20)),
        _ => format!("{:.1}{GLUE}GiB", of(1 << 30)),
    }
}

/// A span in its two greatest units: `2 d 3 h`, `1 min 5 s`, `0.4 s`.
pub(in crate::commands) fn span(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{:.1}{GLUE}s", seconds.max(0.0));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from a float saturates, and the span is above zero"
    )]
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{whole}{GLUE}s"),
        60..3_600 => format!("{}{GLUE}min {}{GLUE}s", whole / 60, whole % 60),
        3_600..86_400 => format!("{}{GLUE}h {}{GLUE}min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{}{GLUE}d {}{GLUE}h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::width;
    use super::*;

    #[test]
    fn short_numbers_fit_their_columns_whatever_they_are() {
        let mut value = 0.000_1;
        while value < 1e9 {
            assert!(width(&rate(value)) <= 7, "{value} is {}", rate(value));
            assert!(width(&short_time(Some(value))) <= 5, "{value} is {}", short_time(Some(value)));
            value *= 1.003;
        }
        assert_eq!(
            [0.0, 0.44, 9.96, 87.4, 45_612.0, 999_960.0].map(rate),
            ["0", "0.4", "10", "87", "45.6k", "1.00M"]
        );
        assert_eq!(
            [46.2, 999.7, 12_345.0, 3e7].map(|us| short_time(Some(us))),
            ["46µs", "1.0ms", "12ms", "30s"]
        );
    }

    #[test]
    fn numbers_have_their_units_and_nothing_is_a_dash() {
        let blank = |text: String| text.replace(GLUE, " ");
        assert_eq!([Some(32.44), Some(1_234.0), None].map(|us| blank(time(us))), ["32.4 µs", "1.23 ms", "–"]);
        assert_eq!([0, 999, 1_234_567].map(|value| blank(count(value))), ["0", "999", "1 234 567"]);
        assert_eq!([blank(counted(1, "request")), blank(counted(0, "error"))], ["1 request", "0 errors"]);
        assert_eq!(
            [512, 5 << 20, 3 << 29].map(|value| blank(bytes(value))),
            ["0.5 KiB", "5.0 MiB", "1.5 GiB"]
        );
        assert_eq!([0.0, 0.034, 0.5, 1.0].map(percent), ["0", "3.4", "50", "100"]);
        assert_eq!(
            [0.42, 59.9, 65.0, 7_260.0, 90_000.0].map(|seconds| blank(span(seconds))),
            ["0.4 s", "59 s", "1 min 5 s", "2 h 1 min", "1 d 1 h"]
        );
    }
}
