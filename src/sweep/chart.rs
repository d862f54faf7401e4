//! Drawings: lines over a common axis, with whiskers for what is not certain, as SVG that stands in a page.
//!
//! Colours are the page's (`--series-N`), so that light and dark are its business; each series has a mark and a dash of its own besides,
//! and a title and a description for whoever does not see it.
//!
//! **Invariant:** text goes in escaped, and what is drawn lies within the frame.

use std::fmt::Write as _;

/// Width and height of a drawing, in its own units.
const SIZE: (f64, f64) = (540.0, 310.0);
/// What is left free: left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (78.0, 28.0, 16.0, 56.0);
/// Marks on the upright axis, about.
const TICKS: f64 = 4.0;
/// The least distance between two labels of the level axis.
const LABEL_ROOM: f64 = 22.0;
/// How far above the highest dot whiskers are drawn; one that goes further is cut, so that one odd round does not flatten a line.
const HEADROOM: f64 = 1.5;
/// Half the width of a whisker's end.
const WHISKER: f64 = 4.0;
/// Series that look different.
pub(crate) const LOOKS: usize = 6;
/// How lines are dashed, in order.
const DASHES: [&str; LOOKS] = ["none", "7 4", "2 4", "10 3 2 3", "4 2", "12 5"];

/// A drawing.
#[derive(Debug)]
pub(crate) struct Chart<'a> {
    /// Names it within the page.
    pub(crate) id: String,
    pub(crate) title: &'a str,
    /// What it shows, in a sentence or two.
    pub(crate) description: String,
    /// The level axis, with its unit.
    pub(crate) across: &'a str,
    /// The upright axis, with its unit; begins at zero.
    pub(crate) up: &'a str,
    /// A band from here to there on the level axis, and what it is.
    pub(crate) band: Option<(f64, f64, &'a str)>,
    /// Lines.
    pub(crate) series: Vec<Line>,
}

/// A line.
#[derive(Debug)]
pub(crate) struct Line {
    /// Which of the looks it has.
    pub(crate) look: usize,
    /// Its dots, by rising `x`.
    pub(crate) dots: Vec<Dot>,
}

/// A dot, and how far it may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dot {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) half_width: Option<f64>,
    /// Whether it is the knee of its line.
    pub(crate) is_knee: bool,
}

/// Where values lie on the drawing.
struct Frame {
    most_x: f64,
    most_y: f64,
    step_y: f64,
}

impl Frame {
    fn of(chart: &Chart<'_>) -> Self {
        let dots = || chart.series.iter().flat_map(|line| &line.dots);
        let most_x = dots().map(|dot| dot.x).fold(1.0, f64::max);
        let dot = dots().map(|dot| dot.y).filter(|y| y.is_finite()).fold(0.0, f64::max);
        let whisker = dots().map(|dot| dot.y + dot.half_width.unwrap_or(0.0)).filter(|y| y.is_finite());
        let highest = whisker.fold(dot, f64::max).min(dot * HEADROOM);
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step_y = step(highest / TICKS);
        Self { most_x: most_x * 1.03, most_y: (highest / step_y).ceil() * step_y, step_y }
    }

    fn x(&self, x: f64) -> f64 {
        MARGIN.0 + (SIZE.0 - MARGIN.0 - MARGIN.2) * (x / self.most_x).clamp(0.0, 1.0)
    }

    fn y(&self, y: f64) -> f64 {
        SIZE.1 - MARGIN.3 - (SIZE.1 - MARGIN.1 - MARGIN.3) * (y / self.most_y).clamp(0.0, 1.0)
    }
}

/// The next of 1, 2, 5, 10 and so on.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= least * 0.999)
        .unwrap_or(10.0 * power)
}

/// Draws it.
pub(crate) fn draw(chart: &Chart<'_>) -> String {
    let frame = Frame::of(chart);
    let (id, (width, height)) = (&chart.id, SIZE);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
        escape(chart.title),
        escape(&chart.description)
    );
    draw_band(&mut svg, chart, &frame);
    draw_axes(&mut svg, chart, &frame);
    for line in &chart.series {
        draw_line(&mut svg, line, &frame);
    }
    svg.push_str("</svg>");
    svg
}

fn draw_band(svg: &mut String, chart: &Chart<'_>, frame: &Frame) {
    let Some((from, to, name)) = chart.band.filter(|(from, ..)| *from < frame.most_x) else { return };
    let (left, right, top) = (frame.x(from), frame.x(to), MARGIN.1);
    let (width, height) = ((right - left).max(1.0), SIZE.1 - MARGIN.3 - top);
    // Near an edge of the drawing the words stand on the inner side.
    let (at, anchor) = if right > SIZE.0 - 2.0 * MARGIN.2 { (right, "end") } else { (left, "start") };
    // Writing to a String cannot fail.
    let _ = write!(
        svg,
        "<rect class=\"band\" x=\"{left:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\"/>\
         <text class=\"note\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
        top - 7.0,
        escape(name)
    );
}

fn draw_axes(svg: &mut String, chart: &Chart<'_>, frame: &Frame) {
    let (left, right, bottom) = (MARGIN.0, SIZE.0 - MARGIN.2, SIZE.1 - MARGIN.3);
    let mut at = 0.0;
    while at <= frame.most_y * 1.001 {
        let y = frame.y(at);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/><text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            y + 5.0,
            short(at)
        );
        at += frame.step_y;
    }
    let _ = write!(svg, "<path class=\"axis\" d=\"M{left} {}V{bottom}H{right}\"/>", MARGIN.1);
    let mut values: Vec<f64> =
        chart.series.iter().flat_map(|line| line.dots.iter().map(|dot| dot.x)).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let mut last = f64::NEG_INFINITY;
    for value in values {
        let x = frame.x(value);
        let _ = write!(svg, "<path class=\"axis\" d=\"M{x:.1} {bottom}v5\"/>");
        if x - last >= LABEL_ROOM {
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 21.0,
                short(value)
            );
            last = x;
        }
    }
    let (middle, half) = (f64::midpoint(left, right), f64::midpoint(MARGIN.1, bottom));
    let _ = write!(
        svg,
        "<text class=\"label\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
         <text class=\"label\" transform=\"translate(16 {half}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        SIZE.1 - 10.0,
        escape(chart.across),
        escape(chart.up)
    );
}

fn draw_line(svg: &mut String, line: &Line, frame: &Frame) {
    let look = line.look % LOOKS;
    let _ = write!(svg, "<g class=\"series s{look}\">");
    let path = line
        .dots
        .iter()
        .map(|dot| format!("{:.1} {:.1}", frame.x(dot.x), frame.y(dot.y)))
        .collect::<Vec<_>>();
    let _ =
        write!(svg, "<path class=\"line\" stroke-dasharray=\"{}\" d=\"M{}\"/>", DASHES[look], path.join("L"));
    for dot in &line.dots {
        let (x, y) = (frame.x(dot.x), frame.y(dot.y));
        if let Some(half_width) = dot.half_width {
            let (low, high) = (dot.y - half_width, dot.y + half_width);
            let _ =
                write!(svg, "<path class=\"whisker\" d=\"M{x:.1} {:.1}V{:.1}", frame.y(low), frame.y(high));
            // Without an end it goes on beyond the frame.
            for end in [low, high].into_iter().filter(|end| (0.0..=frame.most_y).contains(end)) {
                let _ = write!(svg, "M{:.1} {:.1}h{}", x - WHISKER, frame.y(end), 2.0 * WHISKER);
            }
            svg.push_str("\"/>");
        }
        if dot.is_knee {
            let _ = write!(svg, "<circle class=\"knee\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"10\"/>");
        }
        svg.push_str(&mark(look, x, y));
    }
    svg.push_str("</g>");
}

/// The mark of a look, in the middle of this place.
fn mark(look: usize, x: f64, y: f64) -> String {
    let path = |d: &str| format!("<path class=\"mark\" transform=\"translate({x:.1} {y:.1})\" d=\"{d}\"/>");
    match look % LOOKS {
        0 => path("M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z"),
        1 => path("M-4-4h8v8h-8z"),
        2 => path("M0-5.5L5 4H-5z"),
        3 => path("M0-5.5L5.5 0L0 5.5L-5.5 0z"),
        4 => path("M0 5.5L5-4H-5z"),
        _ => path("M-5-5L5 5M5-5L-5 5"),
    }
}

/// A line and a mark, for a legend.
pub(crate) fn draw_sample(look: usize) -> String {
    let look = look % LOOKS;
    format!(
        "<svg class=\"sample series s{look}\" viewBox=\"0 0 44 14\" aria-hidden=\"true\"><path class=\"line\" stroke-dasharray=\"{}\" \
         d=\"M2 7H42\"/>{}</svg>",
        DASHES[look],
        mark(look, 22.0, 7.0)
    )
}

/// A number for an axis: as many digits as it needs, thousands as k.
fn short(value: f64) -> String {
    let trim = |text: String| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    match value {
        value if value >= 1e6 => trim(format!("{:.2}", value / 1e6)) + " M",
        value if value >= 1e4 => trim(format!("{:.1}", value / 1e3)) + " k",
        value => trim(format!("{value:.3}")),
    }
}

/// Text as HTML and XML take it.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(x: f64, y: f64) -> Dot {
        Dot { x, y, half_width: Some(y / 10.0), is_knee: x > 3.0 }
    }

    fn chart(series: Vec<Line>) -> Chart<'static> {
        Chart {
            id: "c1".into(),
            title: "Throughput & more",
            description: "a <description>".into(),
            across: "connections",
            up: "requests a second",
            band: Some((6.0, 12.0, "3 to 6 for each core")),
            series,
        }
    }

    #[test]
    fn a_drawing_has_its_axes_a_band_whiskers_and_words_for_whoever_does_not_see_it() {
        let svg = draw(&chart(vec![Line { look: 0, dots: vec![dot(1.0, 900.0), dot(16.0, 1e6)] }]));
        for part in [
            "role=\"img\"",
            "aria-labelledby=\"c1-t c1-d\"",
            "Throughput &amp; more",
            "a &lt;description&gt;",
            "class=\"band\"",
            "class=\"whisker\"",
            "class=\"knee\"",
            ">requests a second<",
            ">1 M<",
        ] {
            assert!(svg.contains(part), "no {part} in {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn nothing_is_drawn_outside_the_frame() {
        let wild = Dot { x: 4.0, y: 5.0, half_width: Some(50.0), is_knee: false };
        let chart = chart(vec![Line { look: 7, dots: vec![wild] }]);
        let frame = Frame::of(&chart);
        for y in [-45.0, 0.0, 55.0, 1e12] {
            assert!((MARGIN.1..=SIZE.1 - MARGIN.3).contains(&frame.y(y)), "{y}");
        }
        let nothing = draw(&self::chart(vec![Line { look: 1, dots: Vec::new() }]));
        assert!(!nothing.contains("NaN"), "{nothing}");
    }

    #[test]
    fn steps_are_one_two_or_five() {
        let steps = [0.7, 1.0, 1.3, 30.0, 70_000.0].map(|least| step(least).to_string());
        assert_eq!(steps, ["1", "1", "2", "50", "100000"]);
        assert_eq!([0.25, 16.0, 12_500.0, 2_000_000.0].map(short), ["0.25", "16", "12.5 k", "2 M"]);
    }
}
