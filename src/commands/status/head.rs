//! The first lines of a page: which service it is, whether it is ready, and what it has done in all.
//!
//! **Invariant:** totals are exact; what was never counted has no line.

use crate::commands::screen::figures::{GLUE, bytes, count, counted, span};
use crate::commands::screen::line::{Line, Tone};
use crate::commands::screen::prose::labelled;
use crate::telemetry::by::{By, Label};
use crate::telemetry::labels::StatusClass;
use crate::telemetry::snapshot::Pool;
use crate::telemetry::status::{Service, Status};

/// All of them, for so many columns.
pub(in crate::commands) fn lines(status: &Status, columns: usize) -> Vec<Line> {
    let mut lines = vec![first(status)];
    for why in &status.not_ready {
        lines.extend(labelled("not ready", Tone::Bad, why, columns));
    }
    if status.paused {
        let text = "requests for the database are held back until `plimsoll pool resume`";
        lines.extend(labelled("paused", Tone::Notable, text, columns));
    }
    let service = &status.service;
    for (label, text) in [
        ("listening", service.listening.join(", ")),
        ("topology", topology(service)),
        ("database", database(status)),
        ("requests", requests(status)),
        ("connections", connections(status)),
    ] {
        lines.extend(labelled(label, Tone::Plain, &text, columns));
        if let ("database", Some(reads)) = (label, &status.now.reads) {
            lines.extend(labelled("replicas", Tone::Plain, &pool_in_words(reads, ""), columns));
        }
    }
    if let Some(text) = failures(status) {
        lines.extend(labelled("failures", Tone::Bad, &text, columns));
    }
    lines
}

/// Which service it is, and whether it is ready.
pub(in crate::commands) fn first(status: &Status) -> Line {
    let Service { version, pid, .. } = &status.service;
    let (tone, word) = if status.ready { (Tone::Good, "ready") } else { (Tone::Bad, "NOT READY") };
    Line::of(Tone::Strong, format!("plimsoll {version}"))
        .and(Tone::Plain, " is ")
        .and(tone, word)
        .and(Tone::Plain, format!(", up {}, process {pid}", span(status.uptime_s)))
}

fn topology(service: &Service) -> String {
    let processes = match service.processes {
        1 => "1 process".to_owned(),
        processes => format!("{processes} processes"),
    };
    format!(
        "{processes} of {} on {}, --accept {}",
        counted(service.workers.into(), "worker"),
        counted(service.cores.into(), "core"),
        service.accept
    )
}

fn database(status: &Status) -> String {
    let service = &status.service;
    let automatic = if service.automatic { ", sized by what is measured" } else { "" };
    format!("--dispatch {}; {}", service.dispatch, pool_in_words(&status.now.pool, automatic))
}

fn pool_in_words(pool: &Pool, automatic: &str) -> String {
    format!(
        "at most {}{automatic}: {} open, {} in use, {} waiting for one",
        counted(pool.max_size.into(), "connection"),
        pool.size,
        pool.in_use(),
        counted(pool.waiting.into(), "request"),
    )
}

fn requests(status: &Status) -> String {
    let totals = &status.totals;
    let abandoned = match totals.abandoned {
        0 => String::new(),
        abandoned => format!("; {} abandoned by their clients", count(abandoned)),
    };
    format!(
        "{} answered, {} of them with 5xx{abandoned}; {} in progress; {} in, {} out",
        count(totals.requests()),
        count(totals.requests_of(StatusClass::ServerError)),
        count(status.now.in_flight),
        bytes(totals.bytes_in),
        bytes(totals.bytes_out)
    )
}

fn connections(status: &Status) -> String {
    let (now, totals) = (&status.now, &status.totals);
    let ended = match totals.closed.values().sum() {
        0 => String::new(),
        ended => format!("; {} ended: {}", count(ended), words(&totals.closed)),
    };
    format!(
        "{} accepted; {} open, {} of them parked{ended}; {} of memory",
        count(totals.accepted),
        count(now.open),
        count(now.parked),
        bytes(now.resident_bytes)
    )
}

/// What did not go well since the start.
fn failures(status: &Status) -> Option<String> {
    let totals = &status.totals;
    let mut parts = Vec::new();
    let database: u64 = totals.database_failures.values().sum();
    if database > 0 {
        let kinds = words(&totals.database_failures);
        parts.push(format!("PostgreSQL did not serve {}: {kinds}", counted(database, "request")));
    }
    if totals.reconnects > 0 {
        parts.push(format!(
            "{} opened in place of lost ones",
            counted(totals.reconnects, "database connection")
        ));
    }
    if totals.accept_errors > 0 {
        let errors = counted(totals.accept_errors, "connection");
        parts.push(format!("{errors} not accepted for want of descriptors or memory: see plimsoll doctor"));
    }
    if totals.panics > 0 {
        parts.push(format!("{}: see the log", counted(totals.panics, "panic")));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Those labels of which there are any: `900 client, 36 idle`.
pub(in crate::commands) fn words<L: Label>(by: &By<L, u64>) -> String {
    let some = by.iter().filter(|(_, number)| **number > 0);
    some.map(|(label, number)| format!("{}{GLUE}{}", count(*number), label.word()))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{busy, replicated};
    use super::*;
    use crate::commands::screen::line::render;
    use crate::telemetry::labels::DatabaseFailure;

    #[test]
    fn the_head_of_a_page_reads_like_this() {
        assert_eq!(
            render(&lines(&busy(1, 2), 120), false),
            "plimsoll 0.1.0 is ready, up 40 s, process 4711\n\
             listening    127.0.0.1:8080\n\
             topology     1 process of 2 workers on 2 cores, --accept reuseport\n\
             database     --dispatch pipelined; at most 8 connections: 6 open, 4 in use, 0 requests waiting for one\n\
             requests     16 000 answered, 1 of them with 5xx; 0 in progress; 0.0 KiB in, 0.0 KiB out\n\
             connections  68 accepted; 60 open, 24 of them parked; 8 ended: 8 idle; 12.0 MiB of memory\n"
        );
    }

    #[test]
    fn connections_to_replicas_have_a_line_of_their_own() {
        let text = render(&lines(&replicated(), 120), false);
        let expected = "in use, 0 requests waiting for one\nreplicas     at most 8 connections: 6 open, 4 in use, 0 requests waiting for one\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn why_it_is_not_ready_or_paused_or_failed_is_said() {
        let mut status = busy(1, 1);
        status.ready = false;
        status.not_ready = vec!["it is stopping".into()];
        status.paused = true;
        status.totals.database_failures[DatabaseFailure::Lost] = 3;
        status.totals.reconnects = 1;
        status.totals.accept_errors = 2;
        let text = render(&lines(&status, 200), false);
        for words in [
            "is NOT READY",
            "not ready    it is stopping",
            "paused       requests for the database are held back",
            "PostgreSQL did not serve 3 requests: 3 lost",
            "1 database connection opened in place of lost ones",
            "2 connections not accepted",
        ] {
            assert!(text.contains(words), "no {words:?} in\n{text}");
        }
    }
}
