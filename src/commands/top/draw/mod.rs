//! Draws the view: what matters most keeps its place however small the terminal is.
//!
//! [`charts`] are the last minutes, [`gauges`] what is so now.
//!
//! **Invariant:** drawing reads and changes nothing; a terminal too small for all of it shows the first line, the table and the last line.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::keys::EXPLAINED;
use super::view::{Showing, View};
use crate::commands::screen::figures::span;
use crate::commands::screen::line::{Line, Tone};
use crate::commands::status::{head, workers};

mod charts;
mod gauges;

/// Lines of the charts, where there is room for them.
const CHARTS: u16 = 9;
/// Lines that the rest takes at the least: the first one, a heading of two, three rows, the sum, the last one.
const LEAST: u16 = 8;

/// Columns of the box of keys.
const HELP_WIDTH: u16 = 56;

/// Draws it; gives how many rows of workers there was room for.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) -> usize {
    let area = frame.area();
    let gauges = gauges::lines(&view.status, area.width.into());
    let mut left = area.height.saturating_sub(LEAST);
    let mut take = |wanted: u16| {
        let taken = if wanted <= left { wanted } else { 0 };
        left -= taken;
        taken
    };
    let gauges_height = take(u16::try_from(gauges.len()).unwrap_or(u16::MAX));
    let charts_height = take(CHARTS);
    let [first, charts_area, gauges_area, table, last] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(charts_height),
        Constraint::Length(gauges_height),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    show(frame, first, view, &[first_line(view)]);
    if charts_height > 0 {
        charts::draw(frame, charts_area, view);
    }
    show(frame, gauges_area, view, &gauges);
    let room = draw_table(frame, table, view);
    show(frame, last, view, &[last_line(view)]);
    if view.showing == Showing::Keys {
        draw_help(frame, area, view);
    }
    room
}

/// Lines in an area, cut at its right.
fn show(frame: &mut Frame<'_>, area: Rect, view: &View, lines: &[Line]) {
    let text: Vec<Text<'_>> = lines.iter().map(|line| in_style(line, view.colours)).collect();
    frame.render_widget(Paragraph::new(text), area);
}

fn first_line(view: &View) -> Line {
    match &view.trouble {
        None => head::first(&view.status),
        Some(trouble) => Line::of(Tone::Bad, format!("no answer, trying again: {trouble}")),
    }
}

fn last_line(view: &View) -> Line {
    let keys = "q end  p hold  s sort  ↑↓ scroll  ? keys";
    let still = if view.is_still { "  HELD STILL" } else { "" };
    let while_s = span(view.status.recent.seconds);
    Line::of(Tone::Label, format!("{keys}  │ {}  │ of the last {while_s}", view.order.describe()))
        .and(Tone::Notable, still)
}

/// The heading stays above and the sum below; the rows between them scroll.
fn draw_table(frame: &mut Frame<'_>, area: Rect, view: &View) -> usize {
    let laid = workers::table(&view.status, view.order).lay_out(area.width.into());
    let fixed = laid.heading.len() + laid.sums.len();
    let room = usize::from(area.height).saturating_sub(fixed);
    let above = view.above.min(laid.rows.len().saturating_sub(room));
    let shown = laid.rows.iter().skip(above).take(room).cloned();
    let lines: Vec<Line> = laid.heading.iter().cloned().chain(shown).chain(laid.sums).collect();
    show(frame, area, view, &lines);
    room
}

/// The keys, over the middle of what else is shown.
fn draw_help(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let lines: Vec<Line> = EXPLAINED
        .iter()
        .map(|(keys, does)| Line::of(Tone::Strong, format!(" {keys:<16}")).and(Tone::Plain, *does))
        .collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let width = HELP_WIDTH.min(area.width);
    let place =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(" keys ");
    let inner = block.inner(place);
    frame.render_widget(block, place);
    show(frame, inner, view, &lines);
}

fn in_style(line: &Line, colours: bool) -> Text<'static> {
    let spans = line.parts().map(|(tone, text)| Span::styled(text.to_owned(), style(tone, colours)));
    Text::from(spans.collect::<Vec<_>>())
}

/// A tone as a style; without colours what stands out is bold.
fn style(tone: Tone, colours: bool) -> Style {
    let plain = Style::new();
    match tone {
        Tone::Plain => plain,
        Tone::Label => plain.add_modifier(Modifier::DIM),
        Tone::Strong => plain.add_modifier(Modifier::BOLD),
        Tone::Good | Tone::Notable | Tone::Bad if !colours => plain.add_modifier(Modifier::BOLD),
        Tone::Good => plain.fg(Color::Green),
        Tone::Notable => plain.fg(Color::Yellow),
        Tone::Bad => plain.fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::keys::Action;
    use super::*;
    use crate::commands::status::fixture::{busy, quiet};

    /// What stands on a terminal of that size, line by line, and the room for rows.
    fn drawn(view: &View, width: u16, height: u16) -> (Vec<String>, usize) {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut room = 0;
        terminal.draw(|frame| room = draw(frame, view)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        ((0..height).map(line).collect(), room)
    }

    fn expect(view: &View, width: u16, height: u16, words: &[&str]) {
        let (lines, _) = drawn(view, width, height);
        let text = lines.join("\n");
        for word in words {
            assert!(text.contains(word), "no {word:?} in {width} × {height}:\n{text}");
        }
    }

    #[test]
    fn a_terminal_of_the_usual_size_shows_all_of_it() {
        let view = View::of(busy(1, 2), true);
        let words = [
            "plimsoll 0.1.0 is ready",
            "requests a second: 400",
            "p50 45µs, p99 45µs",
            "pool",
            "wait/work",
            "process worker",
            "    all",
            "q end",
            "by process",
        ];
        expect(&view, 80, 30, &words);
    }

    #[test]
    fn any_size_is_drawn_and_the_table_keeps_its_place() {
        for view in [View::of(busy(58, 1), true), View::of(quiet(), false)] {
            for (width, height) in [(1, 1), (20, 5), (40, 8), (80, 24), (200, 70), (300, 2)] {
                drawn(&view, width, height);
            }
            expect(&view, 80, 9, &["plimsoll", "req/s", "all", "q end"]);
        }
    }

    #[test]
    fn rows_scroll_between_the_heading_and_the_sum() {
        let mut view = View::of(busy(58, 1), false);
        let (lines, room) = drawn(&view, 80, 24);
        assert!(lines.join("\n").contains(" 0      0"), "{lines:?}");
        view.note_room(room);
        view.act(Action::Last);
        let (lines, _) = drawn(&view, 80, 24);
        let text = lines.join("\n");
        assert!(text.contains("   57      0") && text.contains("req/s") && text.contains("  all"), "{text}");
    }

    #[test]
    fn what_became_of_a_question_a_held_view_and_the_keys_are_shown() {
        let mut view = View::of(busy(1, 2), false);
        view.trouble = Some("nobody answers".into());
        view.act(Action::Hold);
        view.act(Action::Sort);
        view.act(Action::Help);
        let words =
            ["no answer, trying again: nobody answers", "busiest first", "put the workers in the next order"];
        expect(&view, 110, 30, &words);
        expect(&view, 110, 30, &["HELD STILL"]);
    }
}
