//! The findings as one page: drawings, tables, and what they say; nothing outside it is asked for, and no script runs.
//!
//! **Invariant:** what is drawn stands in a table too, and every text of a person's or a server's is escaped.

use std::fmt::Write as _;

use super::text::{about, about_knee};
use super::{About, time};
use crate::config::sweep::Axis;
use crate::sweep::chart::{self, Chart, Dot, Line, escape};
use crate::sweep::grid::Workload;
use crate::sweep::statistics::Estimate;
use crate::sweep::summary::{Figures, Findings, Series, Summary};
use crate::tuning::littles_law::Rule;

/// What is drawn for each workload: a title, the upright axis, the figure, and its divisor.
type Drawing = (&'static str, &'static str, fn(&Figures) -> Option<Estimate>, f64);

const DRAWINGS: [Drawing; 6] = [
    ("Throughput", "requests a second", |figures| figures.rate, 1.0),
    ("Latency: 99 in a hundred took no longer", "p99, ms", |figures| figures.p99_us, 1e3),
    ("Processor time of the server", "µs a request", |figures| figures.server_cpu_us, 1.0),
    ("Processor time of PostgreSQL", "µs a request", |figures| figures.database_cpu_us, 1.0),
    ("Wait for a database connection", "mean, ms", |figures| figures.pool_wait_us, 1e3),
    ("Database sessions at work", "share, %", |figures| figures.database_busy, 0.01),
];

/// The whole page.
pub(super) fn write(about: &About, findings: &Findings) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Plimsoll: a sweep over {noun}</title>\n\
         <style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>A sweep over {noun}</h1>\n<p class=\"soft\">{made}, plimsoll {program}, {cores} \
         core{plural}, {database}</p>\n",
        noun = findings.axis.noun(),
        style = include_str!("style.css"),
        made = escape(&about.made),
        program = escape(&about.program),
        cores = findings.cores,
        plural = if findings.cores == 1 { "" } else { "s" },
        database = escape(&about.database),
    );
    if !about.is_whole {
        page.push_str("<p><strong>Not all of it was measured:</strong> the figures are of what was.</p>\n");
    }
    for knee in &findings.knees {
        let said =
            escape(&about_knee(findings, knee)).replacen("\nsettings: ", "</p>\n<p>settings: <code>", 1);
        let _ = writeln!(page, "<div class=\"knee-box\"><p>{said}</code></p></div>");
    }
    page.push_str(KNEE);
    let mut workloads: Vec<&Workload> = findings.series.iter().map(|series| &series.workload).collect();
    workloads.dedup();
    for (at, workload) in workloads.iter().enumerate() {
        let series: Vec<&Series> =
            findings.series.iter().filter(|series| series.workload == **workload).collect();
        write_workload(&mut page, findings, at, workload, &series);
    }
    write_about(&mut page, about);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

const KNEE: &str = "<p class=\"soft\">The knee: among the points at which no more than 0.1 % of the requests failed, those within 3 % of the best throughput; among those, \
the ones whose p99 is within 5 % of the lowest; of these the smallest. Whiskers are 95 % confidence intervals over the rounds (Student's t), which play no part in the 3 %; \
a ring marks the knee of each line.</p>\n";

fn write_workload(
    page: &mut String,
    findings: &Findings,
    at: usize,
    workload: &Workload,
    series: &[&Series],
) {
    let _ = writeln!(page, "<h2>{}</h2>", escape(&workload.to_string()));
    page.push_str("<ul class=\"legend\">\n");
    for (look, one) in series.iter().enumerate() {
        let _ = writeln!(
            page,
            "<li>{}<span>{}</span></li>",
            chart::draw_sample(look),
            escape(&one.way.to_string())
        );
    }
    page.push_str("</ul>\n<ul>\n");
    for one in series {
        for said in about(findings, one) {
            let _ = writeln!(page, "<li>{}: {}</li>", escape(&one.way.to_string()), escape(&said));
        }
    }
    page.push_str("</ul>\n<div class=\"drawings\">\n");
    for (which, drawing) in DRAWINGS.iter().enumerate() {
        write_drawing(page, findings, &format!("c{at}-{which}"), drawing, series);
    }
    page.push_str("</div>\n");
    for one in series {
        write_table(page, findings, one);
        write_law(page, findings, one);
    }
}

fn write_drawing(page: &mut String, findings: &Findings, id: &str, drawing: &Drawing, series: &[&Series]) {
    let (title, up, pick, divisor) = *drawing;
    let dots = |one: &Series| {
        let dot = |(at, summary): (usize, &Summary)| {
            let estimate = pick(&summary.figures)?;
            Some(Dot {
                x: f64::from(summary.point.size),
                y: estimate.mean / divisor,
                half_width: estimate.half_width.map(|half_width| half_width / divisor),
                is_knee: one.knee == Some(at),
            })
        };
        one.points.iter().enumerate().filter_map(dot).collect::<Vec<Dot>>()
    };
    let lines: Vec<Line> =
        series.iter().enumerate().map(|(look, one)| Line { look, dots: dots(one) }).collect();
    if lines.iter().all(|line| line.dots.is_empty()) {
        return;
    }
    let across = findings.axis.noun();
    let peaks = series.iter().zip(&lines).filter_map(|(one, line)| {
        let (first, last) = (line.dots.first()?, line.dots.last()?);
        Some(format!("{}: from {:.2} at {} to {:.2} at {}", one.way, first.y, first.x, last.y, last.x))
    });
    let description = format!(
        "{up} over {across}. {}. All values stand in the tables below.",
        peaks.collect::<Vec<_>>().join("; ")
    );
    let band = findings.rule.map(|(from, to)| (f64::from(from), f64::from(to), "3 to 6 for each core"));
    let drawn =
        chart::draw(&Chart { id: id.to_owned(), title, description, across, up, band, series: lines });
    let _ = writeln!(page, "<figure><figcaption>{title}</figcaption>{drawn}</figure>");
}

const COLUMNS: &str = "<th scope=\"col\">requests/s</th><th scope=\"col\">p50</th><th scope=\"col\">p99</th><th scope=\"col\">CPU a request: \
server</th><th scope=\"col\">PostgreSQL</th><th scope=\"col\">delay</th><th scope=\"col\">load</th><th scope=\"col\">pool wait</th>\
<th scope=\"col\">its p99</th><th scope=\"col\">on PostgreSQL</th><th scope=\"col\">sessions at work</th><th scope=\"col\">failed</th>";

fn write_table(page: &mut String, findings: &Findings, series: &Series) {
    let way = escape(&series.way.to_string());
    let _ = write!(
        page,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"figures, {way}\"><table>\n<caption>{}, {way}</caption>\n\
         <thead><tr><th scope=\"col\">{}</th>{COLUMNS}</tr></thead>\n<tbody>\n",
        escape(&series.workload.to_string()),
        findings.axis.noun()
    );
    for (at, summary) in series.points.iter().enumerate() {
        let figures = &summary.figures;
        let is_knee = series.knee == Some(at);
        let (class, word) = if is_knee { (" class=\"is-knee\"", " (knee)") } else { ("", "") };
        let _ = write!(page, "<tr{class}><th scope=\"row\">{}{word}</th>", summary.point.size);
        let cells = [
            cell(figures.rate, |value| format!("{value:.0}")),
            cell(figures.p50_us, time),
            cell(figures.p99_us, time),
            cell(figures.server_cpu_us, time),
            cell(figures.database_cpu_us, time),
            cell(figures.delay_cpu_us, time),
            cell(figures.load_cpu_us, time),
            cell(figures.pool_wait_us, time),
            cell(figures.pool_wait_p99_us, time),
            cell(figures.database_us, time),
            cell(figures.database_busy, |value| format!("{:.0} %", value * 100.0)),
        ];
        let _ = writeln!(page, "{}<td>{}</td></tr>", cells.concat(), summary.failed);
    }
    page.push_str("</tbody></table></div>\n");
}

fn cell(estimate: Option<Estimate>, show: impl Fn(f64) -> String) -> String {
    match estimate {
        None => "<td>–</td>".into(),
        Some(Estimate { mean, half_width: None }) => format!("<td>{}</td>", show(mean)),
        Some(Estimate { mean, half_width: Some(half_width) }) => {
            format!("<td>{} ± {}</td>", show(mean), show(half_width))
        }
    }
}

/// What Little's law makes of the work and the wait at each point.
fn write_law(page: &mut String, findings: &Findings, series: &Series) {
    let known: Vec<_> =
        series.points.iter().filter_map(|summary| Some((summary, summary.implied?))).collect();
    if known.is_empty() || findings.axis == Axis::Clients {
        return;
    }
    let _ = write!(
        page,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Little's law, {way}\"><table>\n<caption>What Little's law makes of it, \
         {way}</caption>\n<thead><tr><th scope=\"col\">{}</th><th scope=\"col\">wait/work</th><th scope=\"col\">1 + wait/work</th>\
         <th scope=\"col\">{implied} implied</th><th scope=\"col\">in use on average (λW)</th>\
         <th scope=\"col\">3 to 6 for each core</th></tr></thead>\n<tbody>\n",
        findings.axis.noun(),
        way = escape(&series.way.to_string()),
        implied = if series.way.is_exclusive() { "connections" } else { "requests in flight" },
    );
    for (summary, implied) in known {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{:.2}</td><td>{:.2}</td><td>{}</td><td>{:.1}</td><td>{}</td></tr>",
            summary.point.size,
            implied.wait_to_work,
            implied.multiplier,
            implied.connections,
            implied.waiting,
            match implied.rule() {
                Rule::Below => "below",
                Rule::Within => "within",
                Rule::Above => "above",
            }
        );
    }
    page.push_str("</tbody></table></div>\n");
}

fn write_about(page: &mut String, about: &About) {
    let _ =
        writeln!(page, "<h2>How it was measured</h2>\n<p><code>{}</code></p>\n<dl>", escape(&about.command));
    for (name, value) in &about.settings {
        let _ = writeln!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    }
    page.push_str(
        "</dl>\n<p>Each round visits every point once, in an order that differs from round to round; each visit starts a server, loads it \
         uncounted, and then counts. Server, load and PostgreSQL share this machine's cores where PostgreSQL runs here. Latencies are the \
         load's; processor times are the kernel's, of all processes of each; pool wait and the time on PostgreSQL are the server's own.</p>\n",
    );
}

#[cfg(test)]
mod tests {
    use super::super::tests::about as whole;
    use super::*;
    use crate::sweep::summary::{summarise, tests::example};

    fn page() -> String {
        let (course, records) = example();
        write(&whole(), &summarise(&course, &records))
    }

    #[test]
    fn the_page_needs_nothing_from_outside_and_runs_no_script() {
        let page = page();
        for foreign in ["http://", "https://", "src=", "<script", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign} stands in it");
        }
        assert!(page.contains("prefers-color-scheme: dark") && page.contains("<html lang=\"en\">"));
    }

    #[test]
    fn it_shows_the_knee_the_rule_the_law_and_escapes_what_others_wrote() {
        let page = page();
        for part in [
            "settings: <code>plimsoll serve --pool-per-core 1",
            "3 to 6 for each core (6 to 12 database connections)",
            "class=\"band\"",
            "class=\"whisker\"",
            "2 (knee)",
            "1 + wait/work",
            "exclusive: Little's law: with 1 database connection, where nothing queues",
            "PostgreSQL 15.18 &lt;private&gt;",
        ] {
            assert!(page.contains(part), "no {part}");
        }
        assert_eq!(page.matches("<figure>").count(), 3, "what was not measured is not drawn");
    }

    #[test]
    fn a_point_that_is_left_out_and_a_knee_in_doubt_are_said() {
        let (course, mut records) = example();
        records[0].reading.failed = 40;
        let mut findings = summarise(&course, &records);
        findings.series[0].uncertain = true;
        let page = write(&whole(), &findings);
        assert!(
            page.contains("left out of the knee, the best and the rule")
                && page.contains("40 failed, 2000 answered")
        );
        assert!(page.contains("the knee of these is uncertain"));
    }

    #[test]
    fn what_is_opened_is_closed() {
        let page = page();
        for tag in [
            "table", "tr", "td", "th", "figure", "svg", "g", "div", "ul", "li", "dl", "p", "code", "main",
            "tbody",
        ] {
            let opened =
                page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn a_sweep_without_a_reading_still_makes_a_page() {
        let (course, _) = example();
        let about = About { is_whole: false, ..whole() };
        assert!(write(&about, &summarise(&course, &[])).contains("Not all of it"));
    }
}
