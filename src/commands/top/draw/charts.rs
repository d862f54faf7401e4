//! The last minutes as two charts: throughput, and latency's quantiles.
//!
//! **Invariant:** both have the same time below them, and each begins at zero.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Block, Borders, Chart, Dataset, GraphType, Paragraph};

use crate::commands::screen::figures::{GLUE, rate, short_time, span};
use crate::commands::top::view::View;
use crate::telemetry::status::Point;

/// The narrowest terminal on which two charts stand beside each other.
const TWO_ABREAST: u16 = 60;
/// Room above the highest point.
const ABOVE: f64 = 1.15;

/// A line of a chart.
struct Curve {
    points: Vec<(f64, f64)>,
    marker: Marker,
    colour: Color,
}

/// Draws them side by side, or the first alone where there is no room.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let abreast = if area.width >= TWO_ABREAST { 50 } else { 100 };
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(abreast), Constraint::Percentage(100 - abreast)])
            .spacing(u16::from(abreast < 100))
            .areas(area);
    let (status, points) = (&view.status, &view.status.history);
    let throughput = Curve {
        points: curve(points, |point| Some(point.requests)),
        marker: Marker::Braille,
        colour: Color::Cyan,
    };
    let title = format!(" requests a second: {} ", rate(status.recent.requests));
    draw_chart(frame, left, view, title, rate, &[throughput]);
    if right.width == 0 {
        return;
    }
    let quantiles = [
        Curve { points: curve(points, |point| point.p99_us), marker: Marker::Braille, colour: Color::Yellow },
        Curve { points: curve(points, |point| point.p50_us), marker: Marker::Dot, colour: Color::Green },
    ];
    let times = &status.recent.request;
    let title = format!(" latency: • p50 {}, p99 {} ", short_time(times.p50_us), short_time(times.p99_us));
    draw_chart(frame, right, view, title, |us| short_time(Some(us)), &quantiles);
}

/// Points by the seconds since, which are below zero.
fn curve(points: &[Point], value: impl Fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
    let Some(last) = points.last() else { return Vec::new() };
    #[expect(clippy::cast_precision_loss, reason = "some minutes in milliseconds")]
    let at = |point: &Point| -(last.at_unix_ms.saturating_sub(point.at_unix_ms) as f64) / 1e3;
    points.iter().filter_map(|point| Some((at(point), value(point)?))).collect()
}

fn draw_chart(
    frame: &mut Frame<'_>,
    area: Rect,
    view: &View,
    title: String,
    label: impl Fn(f64) -> String,
    curves: &[Curve],
) {
    let block = Block::new().borders(Borders::TOP).title(title);
    let all = || curves.iter().flat_map(|curve| &curve.points);
    if all().count() < 2 {
        frame.render_widget(Paragraph::new("  nothing to draw as yet").block(block), area);
        return;
    }
    let oldest = all().map(|(at, _)| *at).fold(-1.0, f64::min);
    let highest = all().map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if highest > 0.0 { highest * ABOVE } else { 1.0 };
    let colour = |colour| if view.colours { Style::new().fg(colour) } else { Style::new() };
    let sets = curves.iter().map(|curve| {
        let set = Dataset::default().data(&curve.points).graph_type(GraphType::Line);
        set.marker(curve.marker).style(colour(curve.colour))
    });
    let ago = format!("{} ago", span(-oldest).replace(GLUE, " "));
    let chart = Chart::new(sets.collect())
        .block(block)
        .x_axis(
            Axis::default()
                .bounds([oldest, 0.0])
                .labels([ago, "now".into()])
                .labels_alignment(Alignment::Right),
        )
        .y_axis(Axis::default().bounds([0.0, top]).labels([label(0.0), label(top)]));
    frame.render_widget(chart, area);
}
