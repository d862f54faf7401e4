//! The page of `plimsoll connections`.
//!
//! **Invariant:** pure: the same listing gives the same page for the same width.

use crate::commands::screen::figures::{GLUE, NONE, count, counted, span};
use crate::commands::screen::line::{Line, Tone};
use crate::commands::screen::prose::labelled;
use crate::commands::screen::table::{Cell, Column, Table};
use crate::commands::status::head::words;
use crate::telemetry::by::Label as _;
use crate::telemetry::listing::Listing;

/// Peers that are named on the page; `--json` has more.
const PEERS_NAMED: usize = 10;

const COLUMNS: [Column; 6] = [
    Column { title: ["", "pid"], name: "pid", leaves: 1 },
    Column { title: ["", "worker"], name: "worker", leaves: 0 },
    Column { title: ["", "peer"], name: "peer", leaves: 0 },
    Column { title: ["", "state"], name: "state", leaves: 0 },
    Column { title: ["", "silent for"], name: "silent for", leaves: 0 },
    Column { title: ["", "requests"], name: "requests", leaves: 2 },
];

/// Draws it for so many columns; so many rows were asked for.
pub(super) fn draw(listing: &Listing, asked: u32, columns: usize) -> Vec<Line> {
    let mut lines = vec![first(listing)];
    if listing.count > 0 {
        for (label, text) in [
            ("by state", words(&listing.by_state)),
            ("by silence", ages(listing)),
            ("by peer", peers(listing)),
        ] {
            lines.extend(labelled(label, Tone::Plain, &text, columns));
        }
    }
    if listing.silent_workers > 0 {
        let silent = counted(listing.silent_workers.into(), "worker");
        let text = format!("{silent} did not answer in time, and their connections are not counted");
        lines.extend(labelled("missing", Tone::Notable, &text, columns));
    }
    if listing.unfinished_workers > 0 {
        let unfinished = counted(listing.unfinished_workers.into(), "worker");
        let text = format!("{unfinished} could not count all in time, and a part is counted");
        lines.extend(labelled("in part", Tone::Notable, &text, columns));
    }
    if !listing.rows.is_empty() {
        lines.push(Line::default());
        lines.extend(table(listing, columns));
        let shown = listing.rows.len() as u64;
        if shown < listing.count {
            let text =
                format!("{} of {}, evenly spread; --rows shows more", count(shown), count(listing.count));
            let text = if u64::from(asked) > shown { text.replace("; --rows shows more", "") } else { text };
            lines.push(Line::of(Tone::Label, text));
        }
    }
    lines
}

fn first(listing: &Listing) -> Line {
    let text = if listing.count == listing.open {
        counted(listing.open, "open connection")
    } else {
        format!("{} of {} fit", count(listing.count), counted(listing.open, "open connection"))
    };
    Line::of(Tone::Strong, text)
}

/// The words of ages are of several words and numbers, so that the count stands behind them.
fn ages(listing: &Listing) -> String {
    let some = listing.by_age.iter().filter(|(_, number)| **number > 0);
    some.map(|(age, number)| format!("{}: {}", age.word(), count(*number))).collect::<Vec<_>>().join(", ")
}

fn peers(listing: &Listing) -> String {
    let mut parts: Vec<String> = listing
        .by_peer
        .iter()
        .take(PEERS_NAMED)
        .map(|(peer, number)| format!("{}{GLUE}{peer}", count(*number)))
        .collect();
    let of_others: u64 = listing.by_peer.iter().skip(PEERS_NAMED).map(|(_, number)| number).sum();
    let of_others = of_others + listing.of_other_peers;
    if of_others > 0 {
        parts.push(format!("{} of others", count(of_others)));
    }
    parts.join(", ")
}

fn table(listing: &Listing, columns: usize) -> Vec<Line> {
    let none = || NONE.to_owned();
    let rows = listing.rows.iter().map(|row| {
        let cells = [
            row.pid.to_string(),
            row.worker.to_string(),
            row.peer.map_or_else(none, |peer| peer.to_string()),
            row.state.word().to_owned(),
            span(row.idle_s),
            row.requests.map_or_else(none, |requests| requests.to_string()),
        ];
        cells.map(Cell::plain).to_vec()
    });
    let laid = Table { columns: &COLUMNS, rows: rows.collect(), sums: Vec::new() }.lay_out(columns);
    // The upper line of the heading is empty.
    laid.heading.into_iter().skip(1).chain(laid.rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::screen::line;
    use crate::telemetry::labels::{Age, ConnectionState};
    use crate::telemetry::listing::Row;

    fn listing() -> Listing {
        let mut listing = Listing { count: 1_000_000, open: 1_000_002, ..Listing::default() };
        listing.by_state[ConnectionState::Parked] = 999_990;
        listing.by_state[ConnectionState::Handling] = 10;
        listing.by_age[Age::Minute] = 1_000_000;
        listing.by_peer =
            (1..=12).map(|at| (std::net::Ipv4Addr::new(127, 0, 0, at).into(), 50_000)).collect();
        listing.of_other_peers = 400_000;
        let peer = Some("[2001:db8::1]:50000".parse().unwrap());
        let row =
            Row { pid: 17, worker: 1, peer, state: ConnectionState::Parked, idle_s: 65.2, requests: Some(4) };
        listing.rows = vec![row.clone(), Row { peer: None, requests: None, ..row }];
        listing
    }

    #[test]
    fn a_million_connections_are_a_short_page() {
        let mut listing = listing();
        (listing.silent_workers, listing.unfinished_workers) = (1, 2);
        assert_eq!(
            line::render(&draw(&listing, 2, 110), false),
            "1 000 000 of 1 000 002 open connections fit\n\
             by state     999 990 parked, 10 handling\n\
             by silence   10 to 60 s: 1 000 000\n\
             by peer      50 000 127.0.0.1, 50 000 127.0.0.2, 50 000 127.0.0.3, 50 000 127.0.0.4, 50 000 127.0.0.5,\n\
             \x20            50 000 127.0.0.6, 50 000 127.0.0.7, 50 000 127.0.0.8, 50 000 127.0.0.9, 50 000 127.0.0.10,\n\
             \x20            500 000 of others\n\
             missing      1 worker did not answer in time, and their connections are not counted\n\
             in part      2 workers could not count all in time, and a part is counted\n\
             \n\
             pid  worker                 peer   state  silent for  requests\n\
             \x2017       1  [2001:db8::1]:50000  parked   1 min 5 s         4\n\
             \x2017       1                    –  parked   1 min 5 s         –\n\
             2 of 1 000 000, evenly spread; --rows shows more\n"
        );
    }

    #[test]
    fn no_connection_is_one_line_and_all_of_them_need_no_remark() {
        assert_eq!(line::render(&draw(&Listing::default(), 20, 80), false), "0 open connections\n");
        let mut few = listing();
        (few.count, few.open) = (2, 2);
        let text = line::render(&draw(&few, 20, 80), false);
        assert!(text.starts_with("2 open connections\n") && !text.contains("evenly"), "{text}");
        assert!(draw(&listing(), 2, 60).iter().all(|line| line.width() <= 60));
    }
}
