//! Text under a label, broken between words.
//!
//! **Invariant:** no word is lost or cut; one that is longer than a line has a line to itself.

use super::line::{Line, Tone, width};

/// Columns that labels take.
const LABEL: usize = 13;
/// The longest line of text that is still read easily.
const LONGEST: usize = 110;

/// A text that begins beside a label and goes on below itself.
pub(in crate::commands) fn labelled(label: &str, tone: Tone, text: &str, columns: usize) -> Vec<Line> {
    let room = columns.min(LONGEST).saturating_sub(LABEL).max(1);
    let mut lines = Vec::new();
    for (at, part) in wrap(text, room).into_iter().enumerate() {
        let label = if at == 0 { label } else { "" };
        let blanks = LABEL.saturating_sub(width(label)).max(1);
        lines.push(Line::of(Tone::Label, format!("{label}{:blanks$}", "")).and(tone, part));
    }
    lines
}

/// Breaks a text into lines of at most so many columns.
pub(in crate::commands) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words_and_loses_none() {
        let text =
            "a request waits 45.6 µs and works for 12.3 µs ".repeat(9) + "antidisestablishmentarianism";
        for columns in [10, 27, 40, 200] {
            let lines = wrap(&text, columns);
            assert_eq!(lines.join(" "), text);
            assert!(lines.iter().all(|line| width(line) <= columns || !line.contains(' ')), "{lines:?}");
        }
    }

    #[test]
    fn what_follows_stands_below_the_text_and_not_below_the_label() {
        let lines = labelled("the wait", Tone::Plain, "one two three", 20);
        let text: Vec<String> = lines.iter().map(|line| line.render(false)).collect();
        assert_eq!(text, ["the wait     one two", "             three"]);
    }
}
