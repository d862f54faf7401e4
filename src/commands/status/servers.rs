//! The table of the database's servers, where reads go to others than writes: what each is, how far behind, and how much it is used.
//!
//! **Invariant:** of a server that is left out it is said why.

use crate::commands::screen::figures::{NONE, counted, rate, span};
use crate::commands::screen::line::{Line, Tone};
use crate::commands::screen::prose::labelled;
use crate::commands::screen::table::{Cell, Column, Table};
use crate::telemetry::hosts::{Host, Side};
use crate::telemetry::status::{HostStatus, Status};

/// The columns, in the order of [`row`].
const COLUMNS: [Column; 8] = [
    column(["", "database host"], "database host", 0),
    column(["", "for"], "for", 0),
    column(["", "role"], "role", 0),
    column(["", "state"], "state", 0),
    column(["", "lag"], "lag", 0),
    column(["conns", "open"], "connections", 1),
    column(["", "reads"], "reads", 2),
    column(["", "reads/s"], "reads a second", 3),
];

const fn column(title: [&'static str; 2], name: &'static str, leaves: u8) -> Column {
    Column { title, name, leaves }
}

/// The table after an empty line, and why servers are left out; nothing where reads go where writes do.
pub(super) fn lines(status: &Status, columns: usize) -> Vec<Line> {
    if status.hosts.is_empty() {
        return Vec::new();
    }
    let rows = status.hosts.iter().map(row).collect();
    let laid = Table { columns: &COLUMNS, rows, sums: Vec::new() }.lay_out(columns);
    let mut lines = vec![Line::default()];
    lines.extend(laid.heading.into_iter().chain(laid.rows));
    for HostStatus { host, .. } in &status.hosts {
        if let Some(why) = &host.left_out {
            let label = state(host);
            lines.extend(labelled(label, Tone::Bad, &format!("{}: {why}", host.at), columns));
        }
    }
    lines
}

/// How the servers that are read from do, in one line; none where reads go where writes do.
pub(in crate::commands) fn summary(status: &Status) -> Option<(bool, String)> {
    let reads: Vec<&HostStatus> =
        status.hosts.iter().filter(|status| status.host.side == Side::Reads).collect();
    if status.hosts.is_empty() {
        return None;
    }
    let used = || reads.iter().filter(|status| status.host.in_use);
    let lag = used()
        .filter_map(|status| status.host.lag_ms)
        .max()
        .map_or_else(String::new, |lag| format!(", {} behind at the most", seconds(lag)));
    let sent: f64 = reads.iter().filter_map(|status| status.served_rate).sum();
    let text = format!(
        "{} of {} in use{lag}, {} reads a second",
        used().count(),
        counted(reads.len() as u64, "host"),
        rate(sent)
    );
    Some((used().count() == reads.len() && !reads.is_empty(), text))
}

fn row(HostStatus { host, served_rate }: &HostStatus) -> Vec<Cell> {
    let tone = if host.in_use { Tone::Good } else { Tone::Bad };
    vec![
        Cell::plain(&host.at),
        Cell::plain(host.side.word()),
        Cell::plain(host.role.map_or(NONE, |role| role.word())),
        Cell { text: state(host).into(), tone },
        Cell::plain(host.lag_ms.map_or_else(|| NONE.into(), seconds)),
        Cell::plain(host.open.to_string()),
        Cell::plain(host.served.map_or_else(|| NONE.into(), |served| served.to_string())),
        Cell::plain(served_rate.map_or_else(|| NONE.into(), rate)),
    ]
}

/// One that takes writes is there or not; one that is read from may be there and be left out.
fn state(host: &Host) -> &'static str {
    match (host.in_use, host.side) {
        (true, _) => "in use",
        (false, Side::Reads) => "left out",
        (false, Side::Writes) => "away",
    }
}

/// A lag to a tenth of a second, as it is measured four times a second.
fn seconds(ms: u64) -> String {
    span(std::time::Duration::from_millis(ms).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{busy, replicated};
    use super::*;
    use crate::commands::screen::figures::GLUE;
    use crate::commands::screen::line::render;

    #[test]
    fn each_server_has_a_row_and_the_one_that_is_left_out_a_reason() {
        assert_eq!(
            render(&lines(&replicated(), 120), false),
            "\n\
             \x20                                                conns\n\
             database host     for     role     state    lag   open  reads  reads/s\n\
             \x20    db1:5432  writes  primary    in use      –      4      –        –\n\
             \x20    db2:5432   reads  standby    in use  0.3 s      8  16000      400\n\
             \x20    db3:5432   reads  standby  left out   12 s      0     90        0\n\
             left out     db3:5432: it is 12.0 s behind the primary, and --max-replica-lag is 10s\n"
        );
    }

    #[test]
    fn without_replicas_nothing_is_said() {
        assert_eq!((lines(&busy(1, 2), 80), summary(&busy(1, 2))), (Vec::new(), None));
    }

    #[test]
    fn in_one_line_it_is_how_many_are_in_use_and_how_far_the_last_of_them_is_behind() {
        let mut status = replicated();
        let text = "1 of 2 hosts in use, 0.3 s behind at the most, 400 reads a second";
        let said =
            |status: &Status| summary(status).map(|(is_well, text)| (is_well, text.replace(GLUE, " ")));
        assert_eq!(said(&status), Some((false, text.into())));
        status.hosts.retain(|status| status.host.in_use);
        assert!(
            said(&status).is_some_and(|(is_well, text)| is_well && text.starts_with("1 of 1 host in use"))
        );
    }

    #[test]
    fn eighty_columns_are_enough_for_a_long_name() {
        let mut status = replicated();
        status.hosts[1].host.at = "replica-1.databases.internal.example:5432".into();
        assert!(lines(&status, 80).iter().all(|line| line.width() <= 80));
    }
}
