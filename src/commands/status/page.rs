//! The whole page of `plimsoll status`.
//!
//! **Invariant:** pure: the same status gives the same page for the same width.

use crate::commands::screen::figures::{count, span, time};
use crate::commands::screen::line::{Line, Tone};
use crate::commands::screen::prose::labelled;
use crate::commands::screen::table::{Cell, Column, Table};
use crate::telemetry::status::{Status, Times};

use super::workers::Order;
use super::{head, servers, wait, workers};

/// A page whose rows can be cut where there is no room for all of them.
#[derive(Debug)]
pub(super) struct Page {
    before: Vec<Line>,
    rows: Vec<Line>,
    after: Vec<Line>,
}

/// The part of a screen's lines that rows have at the least, where there are so many.
const ROWS_SHARE: usize = 3;

/// The columns of the table of times.
const TIMES: [Column; 6] = [
    column("the last while", 0),
    column("how many", 2),
    column("mean", 3),
    column("p50", 0),
    column("p90", 1),
    column("p99", 0),
];

const fn column(title: &'static str, leaves: u8) -> Column {
    Column { title: ["", title], name: title, leaves }
}

/// Draws it for so many columns.
pub(super) fn draw(status: &Status, columns: usize) -> Page {
    let laid = workers::table(status, Order::Place).lay_out(columns);
    let mut before = head::lines(status, columns);
    before.push(Line::default());
    before.extend(laid.heading);
    let mut after = laid.sums;
    after.extend(notes(status, &laid.left_out, columns));
    after.push(Line::default());
    after.extend(times(status, columns));
    after.extend(servers::lines(status, columns));
    after.push(Line::default());
    after.extend(skew(status, columns));
    for (label, text) in wait::explain(status) {
        after.extend(labelled(label, Tone::Plain, &text, columns));
    }
    Page { before, rows: laid.rows, after }
}

/// What the table's rates are of, what its marks mean, and what it has no room for.
fn notes(status: &Status, left_out: &[&str], columns: usize) -> Vec<Line> {
    let mut notes = vec![format!("rates and times are of the last {}", span(status.recent.seconds))];
    notes.extend(workers::legend(status));
    if !left_out.is_empty() {
        notes.push(format!("a wider terminal shows {} too", left_out.join(", ")));
    }
    labelled("", Tone::Label, &notes.join("; "), columns)
}

/// How evenly connections came to the workers, and what that means.
pub(in crate::commands) fn skew(status: &Status, columns: usize) -> Vec<Line> {
    let skew = &status.accept_skew;
    let numbers = skew.highest_over_mean.zip(skew.jain).map_or_else(String::new, |(highest, jain)| {
        format!("the worker with most took {highest:.2} times the mean, Jain's index {jain:.3}; ")
    });
    labelled("accept skew", Tone::Plain, &format!("{numbers}{}", skew.meaning), columns)
}

/// Where the time of requests went.
fn times(status: &Status, columns: usize) -> Vec<Line> {
    let recent = &status.recent;
    let row = |name: &str, times: &Times| {
        let values = [times.mean_us, times.p50_us, times.p90_us, times.p99_us].map(time);
        let cells = [name.to_owned(), count(times.count)].into_iter().chain(values);
        cells.map(Cell::plain).collect()
    };
    let rows = vec![
        row("request to answer", &recent.request),
        row("wait for a connection", &recent.pool_wait),
        row("wait for PostgreSQL", &recent.database),
    ];
    let laid = Table { columns: &TIMES, rows, sums: Vec::new() }.lay_out(columns);
    // The upper line of the heading is empty.
    laid.heading.into_iter().skip(1).chain(laid.rows).collect()
}

impl Page {
    /// All of it, or as much as fits so many lines: first rows are left out and counted, then what comes last.
    pub(super) fn lines(self, most: Option<usize>) -> Vec<Line> {
        let Self { mut before, mut rows, after } = self;
        let most = most.unwrap_or(usize::MAX);
        let least = (most / ROWS_SHARE).min(rows.len());
        if before.len() + rows.len() + after.len() > most && rows.len() > least {
            let room = most.saturating_sub(before.len() + after.len() + 1).max(least);
            let hidden = rows.split_off(room).len();
            let text = format!("… {hidden} more, for which there is no room: plimsoll top scrolls");
            rows.push(Line::of(Tone::Label, text));
        }
        before.extend(rows);
        before.extend(after);
        if before.len() > most {
            before.truncate(most.saturating_sub(1));
            before.push(Line::of(Tone::Label, "… more in a higher terminal, or without --watch"));
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{busy, quiet, replicated};
    use super::*;
    use crate::commands::screen::line::render;

    #[test]
    fn a_page_fits_a_terminal_of_eighty_columns() {
        for (status, columns) in
            [(busy(1, 2), 80), (busy(58, 1), 80), (quiet(), 80), (busy(2, 2), 56), (replicated(), 80)]
        {
            let lines = draw(&status, columns).lines(None);
            let wide: Vec<_> = lines.iter().filter(|line| line.width() > columns).collect();
            assert!(wide.is_empty(), "{wide:?}");
        }
    }

    #[test]
    fn a_page_says_how_even_the_accepts_are_what_the_wait_implies_and_where_time_went() {
        let text = render(&draw(&busy(1, 2), 120).lines(None), false);
        for words in [
            "accept skew  the worker with most took 1.00 times the mean, Jain's index 1.000; even: the kernel",
            "the wait     a request works for 10.0 µs",
            "    request to answer     4 000  46.0 µs",
            "rates and times are of the last 10 s",
        ] {
            assert!(text.contains(words), "no {words:?} in\n{text}");
        }
        assert!(!text.contains("a wider terminal"));
        let narrow = render(&draw(&busy(1, 2), 80).lines(None), false);
        assert!(narrow.contains("a wider terminal shows pid,"), "{narrow}");
    }

    #[test]
    fn without_room_for_all_lines_rows_are_left_out_and_counted_and_the_end_is_cut() {
        let whole = draw(&busy(58, 1), 120).lines(None).len();
        for most in [3, 24, 40, whole - 1, whole] {
            let lines = draw(&busy(58, 1), 120).lines(Some(most));
            let text = render(&lines, false);
            assert!(lines.len() <= most, "{most}: {text}");
            assert!(most < 24 || text.contains("  all  "), "{most}: {text}");
            assert_eq!(most < whole, text.contains('…'), "{most}: {text}");
        }
        let text = render(&draw(&busy(58, 1), 120).lines(Some(40)), false);
        assert!(text.contains("… 45 more, for which there is no room"), "{text}");
    }
}
