//! What is so now, a bar each: the pool, wait against work, how busy the workers are, how even the accepts were.
//!
//! **Invariant:** each bar has its numbers beside it.

use crate::commands::screen::figures::{counted, percent, time};
use crate::commands::screen::line::{Line, Tone};
use crate::commands::status::servers;
use crate::telemetry::status::Status;

/// Columns of a label.
const LABEL: usize = 10;
/// The longest bar.
const LONGEST: usize = 24;
/// A bar has this part of the width at the most.
const PART: usize = 5;
/// A share of something from which it stands out.
const NEARLY_ALL: f64 = 0.9;

/// The lines, for so many columns.
pub(super) fn lines(status: &Status, columns: usize) -> Vec<Line> {
    let length = (columns / PART).clamp(1, LONGEST);
    let mut lines = vec![busy(status, length), pool(status, length), wait(status, length), skew(status)];
    lines.extend(replicas(status));
    lines
}

fn line(label: &str, bar: (Tone, String), text: impl Into<String>) -> Line {
    let (tone, bar) = bar;
    Line::of(Tone::Label, format!("{label:LABEL$}"))
        .and(tone, bar)
        .and(Tone::Plain, " ")
        .and(Tone::Plain, text)
}

fn busy(status: &Status, length: usize) -> Line {
    let (share, cores) = (status.recent.busy, status.service.cores);
    let tone = if share >= NEARLY_ALL { Tone::Notable } else { Tone::Good };
    let text = format!(
        "{} % of the workers' time, {:.2} of {}",
        percent(share),
        status.recent.cpu,
        counted(cores.into(), "core")
    );
    line("busy", (tone, bar(share, length)), text)
}

fn pool(status: &Status, length: usize) -> Line {
    let pool = &status.now.pool;
    let share = f64::from(pool.in_use()) / f64::from(pool.max_size.max(1));
    let tone = if pool.waiting > 0 { Tone::Notable } else { Tone::Good };
    let paused = if status.paused { ", PAUSED" } else { "" };
    let text = format!(
        "{} of {} in use, {} open, {} waiting{paused}",
        pool.in_use(),
        counted(pool.max_size.into(), "connection"),
        pool.size,
        counted(pool.waiting.into(), "request")
    );
    line("pool", (tone, bar(share, length)), text)
}

/// The servers that are read from, where reads go to others than writes.
fn replicas(status: &Status) -> Option<Line> {
    let (is_well, text) = servers::summary(status)?;
    let tone = if is_well { Tone::Plain } else { Tone::Notable };
    Some(Line::of(Tone::Label, format!("{:LABEL$}", "replicas")).and(tone, text))
}

/// The part of a request's time in which it waited: full where it did nothing else.
fn wait(status: &Status, length: usize) -> Line {
    let Some(implied) = &status.implied else {
        return line("wait/work", (Tone::Plain, bar(0.0, length)), "no request asked the database");
    };
    let share = implied.wait_to_work / (1.0 + implied.wait_to_work);
    let text = format!(
        "W {} / C {} = {:.1}: a pool of {} implied, {} in force",
        time(status.recent.database.mean_us),
        time(status.recent.cpu_us),
        implied.wait_to_work,
        implied.connections,
        status.now.pool.max_size
    );
    line("wait/work", (Tone::Notable, bar(share, length)), text)
}

fn skew(status: &Status) -> Line {
    let skew = &status.accept_skew;
    let numbers = skew.highest_over_mean.zip(skew.jain);
    let text = numbers
        .map_or_else(String::new, |(highest, jain)| format!("highest/mean {highest:.2}, Jain {jain:.3}; "));
    Line::of(Tone::Label, format!("{:LABEL$}", "accepts")).and(Tone::Plain, text + &skew.meaning)
}

/// A bar that is full at 1, in eighths of a letter.
fn bar(share: f64, length: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a bar of some letters"
    )]
    let filled = (share.clamp(0.0, 1.0) * (length * 8) as f64).round() as usize;
    let mut bar = "█".repeat(filled / 8);
    if !filled.is_multiple_of(8) {
        bar.push(EIGHTHS[filled % 8]);
    }
    let rest = length - filled.div_ceil(8);
    bar + &"·".repeat(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::fixture::{busy as busy_status, quiet, replicated};

    #[test]
    fn a_bar_has_its_length_whatever_the_share() {
        for (share, shown) in
            [(0.0, "····"), (0.5, "██··"), (0.53, "██▏·"), (1.0, "████"), (7.0, "████"), (-1.0, "····")]
        {
            assert_eq!(bar(share, 4), shown, "{share}");
        }
    }

    #[test]
    fn bars_have_their_numbers_beside_them() {
        let text =
            |status: &Status| lines(status, 80).iter().map(|line| line.render(false)).collect::<Vec<_>>();
        let shown = text(&busy_status(1, 2));
        assert_eq!(
            shown[1],
            "pool      ████████········ 4 of 8 connections in use, 6 open, 0 requests waiting"
        );
        assert_eq!(
            shown[2],
            "wait/work ████████████▎··· W 32.0 µs / C 10.0 µs = 3.2: a pool of 9 implied, 8 in force"
        );
        assert!(shown[0].starts_with("busy") && shown[0].contains("of 2 cores"), "{shown:?}");
        assert!(shown[3].starts_with("accepts   highest/mean 1.00, Jain 1.000; even"), "{shown:?}");
        assert_eq!(shown.len(), 4, "none of replicas where there are none");
        let replicas = "replicas  1 of 2 hosts in use, 0.3 s behind at the most, 400 reads a second";
        assert_eq!(text(&replicated())[4], replicas);
        assert!(text(&quiet())[2].contains("no request asked the database"));
    }
}
