//! A table that fits: columns that there is no room for are left out, and said to be.
//!
//! **Invariant:** numbers are never cut; where not even the columns that always stay fit, lines are longer than asked for.

use super::line::{Line, Tone, width};

/// A column.
#[derive(Debug, Clone, Copy)]
pub(in crate::commands) struct Column {
    /// Two lines of heading.
    pub(in crate::commands) title: [&'static str; 2],
    /// What it is called where it is said to be left out.
    pub(in crate::commands) name: &'static str,
    /// Which is left out first where there is no room, from 1; one with 0 always stays.
    pub(in crate::commands) leaves: u8,
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) struct Cell {
    /// What it says.
    pub(in crate::commands) text: String,
    /// In which tone.
    pub(in crate::commands) tone: Tone,
}

/// A table whose rows have a cell for each column.
#[derive(Debug)]
pub(in crate::commands) struct Table<'a> {
    /// Its columns, from the left.
    pub(in crate::commands) columns: &'a [Column],
    /// Its rows.
    pub(in crate::commands) rows: Vec<Vec<Cell>>,
    /// Rows that sum up.
    pub(in crate::commands) sums: Vec<Vec<Cell>>,
}

/// A table laid out.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::commands) struct Laid {
    /// The heading.
    pub(in crate::commands) heading: Vec<Line>,
    /// A line for each row.
    pub(in crate::commands) rows: Vec<Line>,
    /// A line for each sum.
    pub(in crate::commands) sums: Vec<Line>,
    /// The columns that were left out.
    pub(in crate::commands) left_out: Vec<&'static str>,
}

impl Cell {
    /// One of no particular tone.
    pub(in crate::commands) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }

    /// One that stands out where it should be looked at.
    pub(in crate::commands) fn marked(text: impl Into<String>, tone: Tone, is_marked: bool) -> Self {
        Self { text: text.into(), tone: if is_marked { tone } else { Tone::Plain } }
    }
}

impl Table<'_> {
    /// Lays it out in so many columns of a terminal, with two blanks between cells where all fit so.
    pub(in crate::commands) fn lay_out(&self, room: usize) -> Laid {
        let widths: Vec<usize> = (0..self.columns.len()).map(|at| self.width_of(at)).collect();
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let takes = |shown: &[usize], gap: usize| {
            shown.iter().map(|at| widths[*at]).sum::<usize>() + gap * shown.len().saturating_sub(1)
        };
        let gap = if takes(&shown, 2) <= room { 2 } else { 1 };
        let mut left_out = Vec::new();
        while takes(&shown, gap) > room {
            let next = shown.iter().copied().filter(|at| self.columns[*at].leaves > 0);
            let Some(next) = next.min_by_key(|at| self.columns[*at].leaves) else { break };
            shown.retain(|at| *at != next);
            left_out.push(self.columns[next].name);
        }
        let lay = |cells: &[Cell]| {
            let mut line = Line::default();
            for (place, at) in shown.iter().enumerate() {
                let blanks = widths[*at] - width(&cells[*at].text) + if place > 0 { gap } else { 0 };
                line = line.and(cells[*at].tone, format!("{:blanks$}{}", "", cells[*at].text));
            }
            line
        };
        let heading = |row: usize| {
            let titles = self.columns.iter().map(|column| column.title[row]);
            lay(&titles.map(|title| Cell { text: title.into(), tone: Tone::Label }).collect::<Vec<_>>())
        };
        Laid {
            heading: (0..2).map(heading).collect(),
            rows: self.rows.iter().map(|row| lay(row)).collect(),
            sums: self.sums.iter().map(|row| lay(row)).collect(),
            left_out,
        }
    }

    fn width_of(&self, at: usize) -> usize {
        let cells = self.rows.iter().chain(&self.sums).map(|row| width(&row[at].text));
        cells.chain(self.columns[at].title.iter().map(|title| width(title))).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { title: ["", "worker"], name: "worker", leaves: 0 },
        Column { title: ["cpu", "%"], name: "cpu", leaves: 1 },
        Column { title: ["", "p50"], name: "p50", leaves: 2 },
    ];

    fn table() -> Table<'static> {
        let row = |cells: [&str; 3]| cells.map(Cell::plain).to_vec();
        let rows = vec![row(["0", "97.1", "46µs"]), row(["10", "3", "–"])];
        Table { columns: &COLUMNS, rows, sums: vec![row(["all", "100.1", "46µs"])] }
    }

    fn text(room: usize) -> (Vec<String>, Vec<&'static str>) {
        let laid = table().lay_out(room);
        let lines = [laid.heading, laid.rows, laid.sums].concat();
        (lines.iter().map(|line| line.render(false)).collect(), laid.left_out)
    }

    #[test]
    fn with_room_for_all_columns_they_stand_two_apart() {
        let (lines, left_out) = text(80);
        assert_eq!(
            lines,
            [
                "          cpu",
                "worker      %   p50",
                "     0   97.1  46µs",
                "    10      3     –",
                "   all  100.1  46µs"
            ]
        );
        assert!(left_out.is_empty());
    }

    #[test]
    fn without_room_blanks_go_first_and_then_columns_in_their_order() {
        assert_eq!(text(17).0[2], "     0  97.1 46µs");
        assert_eq!(text(17).1, [""; 0]);
        assert_eq!((text(16).0[2].as_str(), text(16).1), ("     0 46µs", vec!["cpu"]));
        assert_eq!(
            (text(3).0[2].as_str(), text(3).1),
            ("     0", vec!["cpu", "p50"]),
            "what always stays, stays"
        );
    }
}
