//! What the measured wait says about the pool, in sentences.
//!
//! **Invariant:** a number that is said to follow is worked out in [`crate::tuning::littles_law`]; here it is only put into words.

use crate::commands::screen::figures::{counted, rate, span, time};
use crate::telemetry::status::Status;
use crate::tuning::littles_law::Implied;

/// What the rule presumes.
const PRESUMES: &str =
    "3 to 6 for each core presumes a W/C of 2 to 5, and a database connection for each request in flight";
/// Below this share of requests that asked the database, it is said how many did.
const NEARLY_ALL: f64 = 0.95;

/// From this share of time on, workers have no time left that a larger pool could fill.
const FULLY_BUSY: f64 = 0.9;

/// The sentences, each under the label that it follows.
pub(in crate::commands) fn explain(status: &Status) -> Vec<(&'static str, String)> {
    let Some(implied) = &status.implied else {
        let seconds = span(status.recent.seconds);
        return vec![(
            "the wait",
            format!("no request asked the database in the last {seconds}, so that nothing follows"),
        )];
    };
    vec![
        ("the wait", measured(status, implied)),
        ("", implies(status, implied)),
        ("the pool", compare(status, implied)),
        ("the rule", format!("1 + W/C is {:.1}, {}", implied.multiplier, implied.rule().describe())),
        ("", presumes(status)),
    ]
}

fn measured(status: &Status, implied: &Implied) -> String {
    let recent = &status.recent;
    let (work, wait) = (time(recent.cpu_us), time(recent.database.mean_us));
    let of_all = recent.database.count < recent.request.count;
    #[expect(clippy::cast_precision_loss, reason = "what comes between two samples stays far below 2^52")]
    let share = recent.database.count as f64 / recent.request.count.max(1) as f64;
    let mixed = if of_all && share < NEARLY_ALL {
        format!(" over all; {:.0} in 100 requests asked the database, and W is of those", share * 100.0)
    } else {
        String::new()
    };
    let queued = match recent.pool_wait.mean_us {
        Some(us) => format!(", after {} for a connection", time(Some(us))),
        None => String::new(),
    };
    format!(
        "a request works for {work} (C) and waits {wait} for PostgreSQL (W){queued}: W/C is {:.1}{mixed}",
        implied.wait_to_work
    )
}

fn implies(status: &Status, implied: &Implied) -> String {
    let cores = u64::from(status.service.cores);
    format!(
        "{:.1} requests in flight keep a core busy; with a database connection for each that is {} for {}. At this rate {} are \
         in flight on average, {} of them waiting for PostgreSQL; the cores could work on {} a second",
        implied.multiplier,
        counted(implied.connections.into(), "connection"),
        counted(cores, "core"),
        few(implied.in_flight),
        few(implied.waiting),
        rate(implied.most_rate),
    )
}

/// A mean of how many there are, which may be far below one.
fn few(number: f64) -> String {
    if number < 0.1 { format!("{number:.3}") } else { format!("{number:.1}") }
}

/// The pool in force beside the implied one.
fn compare(status: &Status, implied: &Implied) -> String {
    let (in_force, wanted) = (status.now.pool.max_size, implied.connections);
    let automatic = if status.service.automatic { ", kept by --pool-per-core auto" } else { "" };
    let begin = format!("{} in force{automatic}", counted(in_force.into(), "connection"));
    if status.service.dispatch == "pipelined" {
        return format!(
            "{begin}, {wanted} implied; requests share connections (--dispatch pipelined), so that fewer than implied serve as well, and W \
             holds the time for which queries stand in line on a connection"
        );
    }
    if in_force < wanted && status.recent.busy >= FULLY_BUSY {
        return format!(
            "{begin}, {wanted} implied; but workers are busy for {:.0} % of the time: W then holds the time for which answers stand in line \
             for a worker, and a larger pool serves no more",
            status.recent.busy * 100.0
        );
    }
    if in_force < wanted {
        let each = wanted.div_ceil(status.service.cores.max(1));
        return format!(
            "{begin}, {wanted} implied: under full load requests queue for a connection while cores have nothing to do, unless \
             PostgreSQL is at its own limit. `plimsoll pool resize {each}` tries it, --pool-per-core {each} keeps it"
        );
    }
    let rest = if in_force == wanted {
        "which is what the wait implies".to_owned()
    } else {
        format!("{wanted} implied: under full load those past that only queue in PostgreSQL instead of here")
    };
    format!("{begin}, {rest}")
}

fn presumes(status: &Status) -> String {
    if status.service.dispatch == "pipelined" {
        format!("{PRESUMES}; here requests share them")
    } else {
        format!("{PRESUMES}, as here")
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{busy, quiet};
    use super::*;
    use crate::commands::screen::figures::GLUE;

    fn text(status: &Status) -> String {
        explain(status).into_iter().map(|(_, text)| text.replace(GLUE, " ") + "\n").collect()
    }

    #[test]
    fn the_measured_ratio_stands_beside_the_pool_in_force() {
        let text = text(&busy(1, 2));
        assert!(text.contains("works for 10.0 µs (C) and waits 32.0 µs for PostgreSQL (W)"), "{text}");
        assert!(text.contains("W/C is 3.2"), "{text}");
        assert!(text.contains("that is 9 connections for 2 cores"), "{text}");
        assert!(text.contains("8 connections in force, 9 implied; requests share"), "{text}");
        assert!(text.contains("1 + W/C is 4.2, within 3 to 6"), "{text}");
    }

    #[test]
    fn a_pool_that_is_too_small_is_told_the_way_out() {
        let mut status = busy(1, 2);
        status.service.dispatch = "exclusive".into();
        assert!(text(&status).contains("`plimsoll pool resize 5` tries it"), "{}", text(&status));
        status.now.pool.max_size = 9;
        assert!(text(&status).contains("9 connections in force, which is what the wait implies"));
        status.now.pool.max_size = 20;
        assert!(text(&status).contains("20 connections in force, 9 implied: under full load those past"));
    }

    #[test]
    fn where_few_requests_ask_the_database_that_is_said() {
        let mut status = busy(1, 2);
        status.recent.database.count = status.recent.request.count / 4;
        assert!(text(&status).contains("25 in 100 requests asked the database"), "{}", text(&status));
    }

    #[test]
    fn nothing_follows_from_a_quiet_service() {
        assert!(
            text(&quiet()).contains("no request asked the database in the last 10 s"),
            "{}",
            text(&quiet())
        );
    }
}
