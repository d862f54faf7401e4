//! The answer for people: a table with a reason under each line, what it comes to, and the verdict last.
//!
//! **Invariant:** colours repeat what words say, and are only for a terminal.

use std::fmt::Write as _;

use super::nodes::Nodes;
use crate::commands::screen::figures::{GLUE, count};
use crate::commands::screen::prose::wrap;
use crate::kernel::judge::costs::PROCESS_BYTES;
use crate::kernel::judge::processes::MOST_PROCESSES;
use crate::kernel::judge::{Clients, Finding, Mend, Question, State, Verdict};

/// Numbers past this stand for "no limit": systems write several such.
const NO_LIMIT: u64 = 1 << 60;

/// The unit of memory, which is shown in a greater one.
const BYTES: &str = "bytes available";

/// Letters of a line of reasons; with its indent it suits a terminal of 100 columns.
const WIDTH: usize = 88;

const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "1;31";
const DIM: &str = "2";

/// All of it.
pub(super) fn render(question: &Question, verdict: &Verdict, nodes: Option<&Nodes>, colours: bool) -> String {
    let paint = |colour: &str, text: &str| {
        if colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let clients = match question.clients {
        Clients::Elsewhere => "on other machines",
        Clients::Here => "on this machine too",
    };
    let mut text = format!("{} connections, their clients {clients}\n\n", number(question.connections));
    let rows: Vec<[String; 3]> = verdict.findings.iter().map(cells).collect();
    let width = |at: usize, title: &str| {
        rows.iter().map(|row| row[at].chars().count()).chain([title.len()]).max().unwrap_or(0)
    };
    let (limit, is) = (width(0, "limit"), width(1, "is"));
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(text, "       {:limit$}  {:is$}  needs", "limit", "is");
    for (finding, row) in verdict.findings.iter().zip(&rows) {
        let (colour, state) = match finding.state {
            State::Holds => (GREEN, "holds"),
            State::Short => (YELLOW, "short"),
            State::Stops => (RED, "STOPS"),
            State::NotKnown => (DIM, "  –  "),
        };
        let [name, now, needs] = row;
        let _ = writeln!(text, "{}  {name:limit$}  {now:is$}  {needs}", paint(colour, state));
        for line in wrap(&format!("{} [{}]", finding.why, whence(finding)), WIDTH) {
            let _ = writeln!(text, "         {}", paint(DIM, &line));
        }
        if let Some(Mend::Setting(mend) | Mend::Advice(mend)) = finding.mend() {
            let _ = writeln!(text, "       → {mend}");
        }
    }
    text.push('\n');
    text.push_str(&sums(question, verdict));
    let mut verdict_line = last_line(question, verdict);
    if let Some(nodes) = nodes {
        text.insert_str(text.trim_end().len() + 1, &nodes.text());
        verdict_line = if nodes.fit() {
            format!("{verdict_line} {}", nodes.verdict())
        } else {
            format!("{} {verdict_line}", nodes.verdict())
        };
    }
    let colour = if super::fits(verdict, nodes) { GREEN } else { RED };
    let _ = writeln!(text, "{}", paint(colour, &verdict_line));
    text
}

fn cells(finding: &Finding) -> [String; 3] {
    let values = |values: &Option<Vec<u64>>, none: &str| match values {
        None => none.to_owned(),
        Some(values) => {
            let one = |value: &u64| {
                if finding.unit == BYTES { bytes(*value) } else { number(*value) }
            };
            values.iter().map(one).collect::<Vec<_>>().join(" / ")
        }
    };
    let is = values(&finding.is, "–");
    let is = if finding.is.is_some() { format!("{is} {}", short_unit(finding.unit)) } else { is };
    [finding.limit.to_owned(), is.trim_end().to_owned(), values(&finding.needs, "–")]
}

/// The unit as far as it fits beside the numbers.
fn short_unit(unit: &str) -> &str {
    match unit.split_once(':') {
        Some((unit, _)) => unit,
        None if unit == BYTES || unit.starts_with('0') => "",
        None => unit,
    }
}

/// What each of several numbers is, where there are several, and the source.
fn whence(finding: &Finding) -> String {
    match finding.unit.split_once(": ") {
        Some((_, each)) => format!("{each}; {}", finding.source),
        None => finding.source.to_owned(),
    }
}

/// What the connections come to: processes, memory, clients, and how to mend all at once.
fn sums(question: &Question, verdict: &Verdict) -> String {
    let (processes, memory) = (verdict.processes, verdict.memory);
    let mut text = String::new();
    let _ = match processes.count {
        1 => writeln!(text, "processes  1 holds all of them"),
        count if count > MOST_PROCESSES => {
            writeln!(
                text,
                "processes  more would be needed than the {} that serve starts",
                number(MOST_PROCESSES)
            )
        }
        count => writeln!(
            text,
            "processes  {count} with {} connections each: plimsoll serve --processes {count}",
            number(processes.connections_each)
        ),
    };
    let _ = writeln!(
        text,
        "memory     {} in all: {} bytes of the kernel's and {} of user memory for each connection, {} of {}",
        bytes(memory.total_bytes),
        number(memory.kernel_bytes_per_connection),
        number(memory.user_bytes_per_connection),
        if memory.processes == 1 { "1 process".into() } else { format!("{} processes", memory.processes) },
        bytes(PROCESS_BYTES),
    );
    if let Some(load) = question.load {
        let _ = writeln!(
            text,
            "capacity   {} clients at {} requests a second each, of {} measured",
            number(load.clients_served()),
            load.rate_per_second,
            load.capacity_per_second
        );
    }
    let changes = verdict.changes().count();
    if changes > 0 {
        let settings = if changes == 1 { "1 setting" } else { &format!("{changes} settings") };
        let _ = writeln!(
            text,
            "to mend    {settings}: --apply until the next start of the machine, --write FILE from then on"
        );
    }
    text + "\n"
}

fn last_line(question: &Question, verdict: &Verdict) -> String {
    let asked = number(question.connections);
    let first = if verdict.fits() {
        format!("Yes: nothing stops {asked} connections.")
    } else {
        let stops: Vec<&str> = verdict.with(State::Stops).map(|finding| finding.limit).collect();
        format!("No: {asked} connections are stopped by {}.", stops.join(", "))
    };
    match &verdict.ceiling {
        Some(ceiling) => format!(
            "{first} This machine holds {} today; {} stops it there.",
            number(ceiling.connections),
            ceiling.stopped_by
        ),
        None => first,
    }
}

/// A number in groups of three.
pub(super) fn number(value: u64) -> String {
    if value >= NO_LIMIT {
        return "no limit".into();
    }
    count(value).replace(GLUE, " ")
}

/// Bytes in the unit that suits them.
fn bytes(value: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", value / unit, value % unit * 10 / unit);
    match value {
        NO_LIMIT.. => "no limit".into(),
        0x4000_0000.. => format!("{} GiB", tenths(1 << 30)),
        _ => format!("{} MiB", tenths(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_huge_ones_are_no_limit() {
        for (value, shown) in
            [(7, "7"), (999, "999"), (1000, "1 000"), (1_048_576, "1 048 576"), (u64::MAX, "no limit")]
        {
            assert_eq!(number(value), shown);
        }
    }

    #[test]
    fn bytes_are_shown_in_the_unit_that_suits_them() {
        for (value, shown) in [(16 << 20, "16.0 MiB"), (3 << 29, "1.5 GiB"), (24_000 << 20, "23.4 GiB")] {
            assert_eq!(bytes(value), shown);
        }
    }
}
