//! What commands draw on: how wide it is, whether it takes colours, and the parts that their pages are made of.
//!
//! [`mod@line`] is a line of text with tones, [`table`] a table that leaves out what there is no room for, [`prose`] text under a label, and
//! [`figures`] numbers as people read them. The same lines go to a pipe, to a terminal, and to `top`.
//!
//! **Invariant:** what is drawn depends on the data and on a [`Screen`] alone; colours repeat what words say.

use std::io::{self, IsTerminal as _};

pub(super) mod figures;
pub(super) mod line;
pub(super) mod prose;
pub(super) mod table;

/// Letters in a line where no terminal sets a limit.
const WIDTH_ELSEWHERE: usize = 160;
/// The fewest letters that a line is laid out for; a narrower terminal breaks lines itself.
const LEAST_WIDTH: usize = 40;

/// What standard output is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// Letters in a line.
    pub(super) width: usize,
    /// Lines, where it is a terminal that says so.
    pub(super) height: Option<usize>,
    /// Whether tones are shown as colours.
    pub(super) colours: bool,
    /// Whether it is a terminal, whose page is drawn anew.
    pub(super) is_terminal: bool,
}

impl Screen {
    /// Asks the terminal; `COLUMNS` wins, and `NO_COLOR` takes colours away (<https://no-color.org>).
    pub(super) fn of_stdout() -> Self {
        let is_terminal = io::stdout().is_terminal();
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let some = |number: u16| (number > 0).then_some(usize::from(number));
        let columns =
            std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|width| *width > 0);
        let width = columns.or_else(|| some(size?.ws_col)).unwrap_or(WIDTH_ELSEWHERE);
        Self {
            width: width.max(LEAST_WIDTH),
            height: is_terminal.then(|| some(size?.ws_row)).flatten(),
            colours: is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            is_terminal,
        }
    }
}
