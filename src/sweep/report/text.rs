//! The findings on a terminal: a table, what each series says, and in the last lines the knee and the settings to use.
//!
//! **Invariant:** the last two lines are of the first workload, which is what the sweep is about.

use std::fmt::Write as _;

use super::time;
use crate::sweep::statistics::Estimate;
use crate::sweep::summary::{Findings, Knee, Series, Summary};

/// The head of the table, as wide as its columns.
const HEAD: &str = "    size      req/s    ± 95 %        p50        p99  CPU server  CPU PostgreSQL  pool wait  busy  errors";

/// What is said of a knee beside a best that rounds do not tell from it.
const DOUBT: &str = "uncertain (its interval and that of the best overlap by more than the two differ; more --rounds tell more)";

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
        for said in about(findings, series) {
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

/// What a series says, a sentence each.
pub(super) fn about(findings: &Findings, series: &Series) -> impl Iterator<Item = String> {
    let doubt = series.uncertain.then(|| format!("the knee of these is {DOUBT}"));
    [about_rule(findings, series), about_law(findings, series), about_failures(findings, series), doubt]
        .into_iter()
        .flatten()
}

/// Which points do not count for too many failures, or that they all count in spite of theirs.
fn about_failures(findings: &Findings, series: &Series) -> Option<String> {
    let failing = series.points.iter().filter(|summary| summary.fails_too_often());
    let told: Vec<String> = failing
        .map(|summary| {
            let Summary { point, failed, requests, .. } = summary;
            format!("{} ({failed} failed, {requests} answered)", findings.axis.count(point.size))
        })
        .collect();
    let told = Some(told).filter(|told| !told.is_empty())?.join(", ");
    Some(if series.best.is_some_and(|best| series.points[best].fails_too_often()) {
        format!(
            "at every size that served more than 0.1 % failed, so that the knee is of those all the same: {told}"
        )
    } else {
        format!("left out of the knee, the best and the rule, since more than 0.1 % failed: {told}")
    })
}

/// How 3 to 6 for each core did against the best.
fn about_rule(findings: &Findings, series: &Series) -> Option<String> {
    let (from, to) = findings.rule?;
    let best = &series.points[series.best?];
    let noun = findings.axis.noun();
    let peak = format!("the best is {}", findings.axis.count(best.point.size));
    Some(if let Some((least, most)) = series.rule_share {
        let percent = |share: f64| format!("{:.1}", share * 100.0);
        let (least, most) = (percent(least), percent(most));
        let range = if least == most { least } else { format!("{least} to {most}") };
        format!("3 to 6 for each core ({from} to {to} {noun}) serve {range} % of the best; {peak}")
    } else {
        let is_within = series.points.iter().any(|summary| (from..=to).contains(&summary.point.size));
        let why = if is_within { "counts, for its failures" } else { "was measured" };
        format!("no size within 3 to 6 for each core ({from} to {to} {noun}) {why}; {peak}")
    })
}

/// What Little's law makes of the work and the wait at the smallest size, where nothing queues within PostgreSQL; nothing where requests
/// share connections, since they queue on those.
fn about_law(findings: &Findings, series: &Series) -> Option<String> {
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
    let Knee { summary, uncertain, settings } = knee;
    let p99 = summary.figures.p99_us.map_or_else(|| "unknown".into(), |p99| time(p99.mean));
    let rate = summary.figures.rate.map_or(0.0, |rate| rate.mean);
    let doubt = if *uncertain { format!(", {DOUBT}") } else { String::new() };
    let named = format!(
        "knee of {}: {}, {}: {rate:.0} requests a second, p99 {p99}{doubt}",
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
    fn a_point_that_is_left_out_and_a_knee_in_doubt_are_said() {
        let (course, records) = example();
        let mut findings = summarise(&course, &records);
        assert!(!write_text(&findings).contains("uncertain") && !write_text(&findings).contains("left out"));
        findings.series[0].points[2].failed = 17;
        (findings.series[0].uncertain, findings.knees[0].uncertain) = (true, true);
        let text = write_text(&findings);
        assert!(
            text.contains("more than 0.1 % failed: 4 database connections (17 failed, 2000 answered)"),
            "{text}"
        );
        assert_eq!(text.matches("uncertain (its interval").count(), 2, "{text}");
    }

    #[test]
    fn columns_stand_below_their_names() {
        let (course, records) = example();
        let row = row(&summarise(&course, &records).series[0].points[0]);
        assert_eq!(row.chars().count(), HEAD.chars().count(), "{row}");
    }
}
