//! A line of text whose parts have tones.
//!
//! **Invariant:** without colours a line is its text and nothing else.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use super::figures::GLUE;

/// What a part of a line is about; a terminal shows it as a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Tone {
    /// Nothing in particular.
    Plain,
    /// A label or a heading.
    Label,
    /// What sums up.
    Strong,
    /// All is well.
    Good,
    /// Worth a look.
    Notable,
    /// Not well.
    Bad,
}

/// A line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::commands) struct Line {
    parts: Vec<(Tone, String)>,
}

impl Line {
    /// One of a single tone.
    pub(in crate::commands) fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self::default().and(tone, text)
    }

    /// The same with another part at its end.
    #[must_use]
    pub(in crate::commands) fn and(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.parts.push((tone, text.into().replace(GLUE, " ")));
        self
    }

    /// Its parts.
    pub(in crate::commands) fn parts(&self) -> impl Iterator<Item = (Tone, &str)> {
        self.parts.iter().map(|(tone, text)| (*tone, text.as_str()))
    }

    /// How many columns of a terminal it takes.
    #[cfg(test)]
    pub(in crate::commands) fn width(&self) -> usize {
        self.parts().map(|(_, text)| width(text)).sum()
    }

    /// As text for a terminal with colours, or for anything else; blanks at the end are left out.
    pub(in crate::commands) fn render(&self, colours: bool) -> String {
        let mut text = String::new();
        let said = self.parts.iter().rposition(|(_, part)| !part.trim_end().is_empty());
        for (at, (tone, part)) in self.parts().enumerate().take(said.map_or(0, |last| last + 1)) {
            let part = if Some(at) == said { part.trim_end() } else { part };
            // Writing to a String cannot fail.
            let _ = match tone.code().filter(|_| colours && !part.is_empty()) {
                Some(code) => write!(text, "\x1b[{code}m{part}\x1b[0m"),
                None => write!(text, "{part}"),
            };
        }
        text
    }
}

impl Tone {
    /// The parameter of ECMA-48's SGR.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Label => Some("2"),
            Self::Strong => Some("1"),
            Self::Good => Some("32"),
            Self::Notable => Some("33"),
            Self::Bad => Some("1;31"),
        }
    }
}

/// The columns of a terminal that a text takes.
pub(in crate::commands) fn width(text: &str) -> usize {
    text.width()
}

/// Lines as text, each with its end.
pub(in crate::commands) fn render(lines: &[Line], colours: bool) -> String {
    lines.iter().map(|line| line.render(colours) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_a_line_is_its_text() {
        let line = Line::of(Tone::Label, "is ")
            .and(Tone::Bad, "not")
            .and(Tone::Plain, " ready  ")
            .and(Tone::Bad, "  ");
        assert_eq!(line.render(false), "is not ready");
        assert_eq!(line.render(true), "\x1b[2mis \x1b[0m\x1b[1;31mnot\x1b[0m ready");
    }

    #[test]
    fn a_width_is_in_columns_and_not_in_bytes() {
        assert_eq!(Line::of(Tone::Plain, "46µs ×").width(), 6);
        assert_eq!(width("日本"), 4);
        assert_eq!(Line::of(Tone::Plain, format!("1{GLUE}s")).render(false), "1 s");
    }
}
