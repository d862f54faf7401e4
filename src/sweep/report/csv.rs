//! The findings as a table for other programs: a row for each point, a column for each mean and for half of its interval.
//!
//! **Invariant:** every row has as many fields as the first, and what is not known is empty.

use std::fmt::Write as _;

use crate::sweep::statistics::Estimate;
use crate::sweep::summary::{Figures, Findings, Summary};

/// Every figure by its name.
type Column = (&'static str, fn(&Figures) -> Option<Estimate>);

const COLUMNS: [Column; 11] = [
    ("rate", |figures| figures.rate),
    ("p50_us", |figures| figures.p50_us),
    ("p99_us", |figures| figures.p99_us),
    ("server_cpu_us", |figures| figures.server_cpu_us),
    ("database_cpu_us", |figures| figures.database_cpu_us),
    ("delay_cpu_us", |figures| figures.delay_cpu_us),
    ("load_cpu_us", |figures| figures.load_cpu_us),
    ("pool_wait_us", |figures| figures.pool_wait_us),
    ("pool_wait_p99_us", |figures| figures.pool_wait_p99_us),
    ("database_us", |figures| figures.database_us),
    ("database_busy", |figures| figures.database_busy),
];

/// The whole table.
pub(super) fn write(findings: &Findings) -> String {
    let mut text =
        String::from("route,connections,pipeline,dispatch,accept,axis,size,rounds,requests,failed");
    for (name, _) in COLUMNS {
        let _ = write!(text, ",{name},{name}_half_width");
    }
    text.push_str(",knee\n");
    for series in &findings.series {
        for (at, summary) in series.points.iter().enumerate() {
            write_row(&mut text, findings, summary, series.knee == Some(at));
        }
    }
    text
}

fn write_row(text: &mut String, findings: &Findings, summary: &Summary, is_knee: bool) {
    let point = &summary.point;
    let word = |word: &Option<String>| word.clone().unwrap_or_default();
    let axis = findings.axis.noun().replace(' ', "_");
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{},{},{},{},{},{axis},{},{},{},{}",
        quote(&point.workload.route),
        point.connections(),
        point.workload.pipeline,
        word(&point.way.dispatch),
        word(&point.way.accept),
        point.size,
        summary.rounds,
        summary.requests,
        summary.failed
    );
    for (_, pick) in COLUMNS {
        let estimate = pick(&summary.figures);
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.3}"));
        let _ = write!(
            text,
            ",{},{}",
            number(estimate.map(|one| one.mean)),
            number(estimate.and_then(|one| one.half_width))
        );
    }
    let _ = writeln!(text, ",{}", u8::from(is_knee));
}

/// A field as RFC 4180 wants it.
fn quote(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::summary::{summarise, tests::example};

    #[test]
    fn every_row_has_a_field_for_each_column_and_a_knee_is_marked() {
        let (course, records) = example();
        let text = write(&summarise(&course, &records));
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(rows.len(), 11);
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
        assert_eq!(rows[1][..7], ["/db", "64", "1", "pipelined", "reuseport", "database_connections", "1"]);
        let knees = rows.iter().filter(|row| row.last() == Some(&"1")).map(|row| row[6]).collect::<Vec<_>>();
        assert_eq!(knees, ["2", "8"]);
        let unknown = rows[0].iter().position(|name| *name == "pool_wait_us").unwrap();
        assert_eq!(rows[1][unknown], "");
    }
}
