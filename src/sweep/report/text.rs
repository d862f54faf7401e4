//! The findings on a terminal: a table, what each series says, and in the last lines the knee and the settings to use.
//!
//! **Invariant:** the last two lines are of the first workload, which is what the sweep is about.

use std::fmt::Write as _;

use super::time;
use crate::sweep::statistics::Estimate;
use crate::sweep::summary::{Findings, Knee, Series, Summary};

/// The head of the table, as wide as its columns.
const HEAD: &str = "    size      req/s    ± 95 %        p50        p99  CPU server  CPU PostgreSQL  pool wait  busy  errors";

/// All of it.
pub(crate) fn write_text(findings: &Findings) -> String {
    let mut text = String::new();
    for series in &findings.series {
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "\n{}, {} (size: {})\n{HEAD}", series.workload, series.way, findings.axis.noun());
        for (at, summary) in series.points.iter().enumerate() {
            let _ = writeln!(text, "{}{}", row(summary), if series.knee == Some(at) { "  knee" } else { "" });
        }
        for said in [about_rule(findings, series), about_law(findings, series)].into_iter().flatten() {
            let _ = writeln!(text, "    {said}");
        }
    }
    for knee in findings.knees.iter().rev() {
        let _ = writeln!(text, "\n{}", about_knee(findings, knee));
    }
    text
}

fn row(summary: &Summary) -> String {
    let figures = &summary.figures;
    let times = |estimate: Option<Estimate>| estimate.map_or_else(|| "-".into(), |one| time(one.mean));
    let spread =
        figures.rate.and_then(|rate| Some(rate.half_width? / rate.mean.max(f64::MIN_POSITIVE) * 100.0));
    let busy = figures.database_busy.map_or_else(|| "-".into(), |busy| format!("{:.0} %", busy.mean * 100.0));
    format!(
        "{:>8} {:>10.0} {:>9} {:>10} {:>10} {:>11} {:>15} {:>10} {busy:>5} {:>7}",
        summary.point.size,
        figures.rate.map_or(0.0, |rate| rate.mean),
        spread.map_or_else(|| "-".into(), |spread| format!("{spread:.1} %")),
        times(figures.p50_us),
        times(figures.p99_us),
        times(figures.server_cpu_us),
        times(figures.database_cpu_us),
        times(figures.pool_wait_us),
        summary.failed
    )
}

/// How 3 to 6 for each core did against the best.
pub(super) fn about_rule(findings: &Findings, series: &Series) -> Option<String> {
    let (from, to) = findings.rule?;
    let best = &series.points[series.best?];
    let noun = findings.axis.noun();
    let peak = format!("the best is {}", findings.axis.count(best.point.size));
    Some(match series.rule_share {
        Some((least, most)) => {
            let percent = |share: f64| format!("{:.1}", share * 100.0);
            let (least, most) = (percent(least), percent(most));
            let range = if least == most { least } else { format!("{least} to {most}") };
            format!("3 to 6 for each core ({from} to {to} {noun}) serve {range} % of the best; {peak}")
        }
        None => format!("no size within 3 to 6 for each core ({from} to {to} {noun}) was measured; {peak}"),
    })
}

/// What Little's law makes of the work and the wait at the smallest size, where nothing queues within PostgreSQL; nothing where requests
/// share connections, since they queue on those.
pub(super) fn about_law(findings: &Findings, series: &Series) -> Option<String> {
    let smallest = series.points.first().filter(|_| series.way.is_exclusive())?;
    let implied = smallest.implied?;
    let (work, wait) = (smallest.figures.server_cpu_us?.mean, smallest.figures.database_us?.mean);
    Some(format!(
        "Little's law: with {}, where nothing queues within PostgreSQL, a request takes {} of the server's processor time and holds its \
         connection for {}; 1 + wait/work is {:.1}, so that {} connections would keep the cores busy ({})",
        findings.axis.count(smallest.point.size),
        time(work),
        time(wait),
        implied.multiplier,
        implied.connections,
        implied.rule().describe()
    ))
}

/// The knee and the settings that make it, a line each.
pub(super) fn about_knee(findings: &Findings, knee: &Knee) -> String {
    let Knee { summary, settings } = knee;
    let p99 = summary.figures.p99_us.map_or_else(|| "unknown".into(), |p99| time(p99.mean));
    let rate = summary.figures.rate.map_or(0.0, |rate| rate.mean);
    let named = format!(
        "knee of {}: {}, {}: {rate:.0} requests a second, p99 {p99}",
        summary.point.workload,
        findings.axis.count(summary.point.size),
        summary.point.way
    );
    match settings {
        Some(settings) => format!("{named}\nsettings: {settings}"),
        None => format!("{named}\nsettings: those of the server are its own"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::summary::{summarise, tests::example};

    #[test]
    fn the_last_lines_name_the_knee_and_the_settings() {
        let (course, records) = example();
        let text = write_text(&summarise(&course, &records));
        let last: Vec<&str> = text.lines().rev().take(2).collect();
        assert!(
            last[1].starts_with("knee of /db over 64 connections: 2 database connections, pipelined: 1000"),
            "{text}"
        );
        assert_eq!(
            last[0],
            "settings: plimsoll serve --pool-per-core 1 --dispatch pipelined --accept reuseport"
        );
        assert!(
            text.contains("3 to 6 for each core (6 to 12 database connections) serve 100.0 % of the best"),
            "{text}"
        );
        assert_eq!(text.matches("  knee\n").count(), 2, "{text}");
    }

    #[test]
    fn columns_stand_below_their_names() {
        let (course, records) = example();
        let row = row(&summarise(&course, &records).series[0].points[0]);
        assert_eq!(row.chars().count(), HEAD.chars().count(), "{row}");
    }
}
