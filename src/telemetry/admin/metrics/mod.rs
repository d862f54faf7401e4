//! `/metrics`: what Prometheus and its kin collect, with names, units and suffixes by their conventions.
//!
//! `OpenMetrics` 1.0 for those who ask for it, which Prometheus does, else its forerunner, the text format 0.0.4; they differ in how
//! the family of a counter is named, and in what is said besides. [`families`] says what there is, [`servers`] what there is of
//! the database's servers.
//!
//! **Invariant:** each family is described once; base units are seconds, bytes and ratios.

use std::fmt::Write as _;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::telemetry::status::{Sample, Service};

mod families;
mod servers;

use families::Families;

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Text,
}

impl Format {
    /// By an `Accept` header.
    pub(super) fn wanted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// All of it.
pub(super) fn render(service: &Service, sample: &Sample, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families { service: service.clone(), sample: sample.clone() }));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    match format {
        Format::OpenMetrics => text,
        Format::Text => without_open_metrics(&text),
    }
}

/// The same in the older format: a counter's family has the name of its samples, and units are said by names alone.
fn without_open_metrics(text: &str) -> String {
    let mut older = String::with_capacity(text.len());
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        // A family's HELP comes right before its TYPE.
        let kind =
            if line.starts_with("# HELP ") { lines.get(at + 1).copied().unwrap_or_default() } else { line };
        let is_counter = line.starts_with('#') && kind.starts_with("# TYPE ") && kind.ends_with(" counter");
        let written = if line.starts_with("# UNIT ") || *line == "# EOF" {
            Ok(())
        } else if let (true, [hash, word, name, rest]) =
            (is_counter, line.splitn(4, ' ').collect::<Vec<_>>().as_slice())
        {
            writeln!(older, "{hash} {word} {name}_total {rest}")
        } else {
            writeln!(older, "{line}")
        };
        // Writing to a String cannot fail.
        let _ = written;
    }
    older
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::telemetry::counters::WorkerCounters;
    use crate::telemetry::hosts::{Ended, Host, Role, Side};
    use crate::telemetry::labels::Route;
    use crate::telemetry::snapshot::{Pool, Process, State, Totals, Worker};

    fn rendered(format: Format) -> String {
        let counters = WorkerCounters::default();
        for us in [10, 20, 300] {
            counters.begun.note();
            counters.note_answer(Route::Db, 200);
            counters.request_time.note(Duration::from_micros(us));
        }
        counters.bytes_out.add(1_000);
        let totals = Totals { cpu_ns: 1_500_000_000, ..Totals::read(&counters) };
        let reads = Some(Pool { max_size: 4, size: 2, available: 1, ..Pool::default() });
        let state = State { open: 5, parked: 2, reads, ..State::default() };
        let worker = Worker { totals, state, ..Worker::default() };
        let host = |side, lag_ms: Option<u64>, in_use| Host {
            side,
            at: "10.0.0.1:5432".into(),
            role: lag_ms.map(|_| Role::Standby),
            lag_ms,
            in_use,
            left_out: (!in_use).then(|| "it is gone".into()),
            open: 2,
            served: (side == Side::Reads).then_some(40),
        };
        let away = Host { at: "b\"\\:1".into(), ..host(Side::Reads, None, false) };
        let hosts = vec![host(Side::Writes, None, true), host(Side::Reads, Some(1_500), true), away];
        let process = |pid, index| Process {
            pid,
            index,
            workers: vec![worker.clone()],
            hosts: hosts.clone(),
            ..Process::default()
        };
        // Two of one index, as in the middle of a reload.
        let processes = vec![process(7, 0), process(8, 1), process(9, 1)];
        let sample = Sample {
            at_ns: 0,
            at_unix_ms: 0,
            processes,
            ended: Totals::default(),
            ended_reads: Ended::default(),
        };
        let service = Service {
            version: "0.0.0".into(),
            pid: 1,
            started_unix: 1_000,
            processes: 2,
            workers: 1,
            accept: "shared".into(),
            listening: Vec::new(),
            cores: 2,
            dispatch: "pipelined".into(),
            connections_total: 8,
            automatic: false,
        };
        render(&service, &sample, format)
    }

    #[test]
    fn every_sample_is_of_a_family_that_is_described_once_and_none_is_there_twice() {
        for format in [Format::OpenMetrics, Format::Text] {
            let text = rendered(format);
            let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
            for line in text.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                match words[..] {
                    ["#", "TYPE", name, _] => assert!(families.insert(name), "{name} twice"),
                    ["#", ..] => {}
                    _ => {
                        let name = line.split(['{', ' ']).next().unwrap();
                        let bare = ["_total", "_bucket", "_sum", "_count"];
                        let of = |family: &&str| {
                            name == *family || bare.iter().any(|end| name.strip_suffix(end) == Some(family))
                        };
                        assert!(families.iter().any(of), "{line}");
                        let series = line.rsplit_once(' ').unwrap().0;
                        assert!(samples.insert(series.to_owned()), "{series} twice");
                    }
                }
            }
            assert_eq!(text.matches("# HELP ").count(), families.len());
        }
    }

    #[test]
    fn totals_are_over_all_processes_and_buckets_add_up() {
        let text = rendered(Format::OpenMetrics);
        for line in [
            r#"plimsoll_http_requests_total{route="db",status="2xx"} 9"#,
            r#"plimsoll_connections{state="parked"} 6"#,
            r#"plimsoll_connections{state="active"} 9"#,
            "plimsoll_sent_bytes_total 3000",
            "plimsoll_cpu_seconds_total 4.5",
            r#"plimsoll_request_duration_seconds_bucket{le="0.000016384"} 3"#,
            r#"plimsoll_request_duration_seconds_bucket{le="+Inf"} 9"#,
            "plimsoll_request_duration_seconds_count 9",
            r#"plimsoll_worker_connections{process="1",worker="0"} 5"#,
        ] {
            assert!(text.lines().any(|other| other == line), "no {line} in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn each_server_has_its_series_over_all_processes_and_an_unknown_lag_has_none() {
        let text = rendered(Format::OpenMetrics);
        for line in [
            r#"plimsoll_database_host_in_use{side="writes",host="10.0.0.1:5432"} 1"#,
            r#"plimsoll_database_host_in_use{side="reads",host="10.0.0.1:5432"} 1"#,
            r#"plimsoll_database_host_in_use{side="reads",host="b\"\\:1"} 0"#,
            r#"plimsoll_database_host_connections{side="reads",host="10.0.0.1:5432"} 6"#,
            r#"plimsoll_database_host_role{side="reads",host="10.0.0.1:5432",role="standby"} 1"#,
            r#"plimsoll_database_host_role{side="reads",host="10.0.0.1:5432",role="primary"} 0"#,
            r#"plimsoll_database_host_role{side="writes",host="10.0.0.1:5432",role="standby"} 0"#,
            r#"plimsoll_replica_lag_seconds{host="10.0.0.1:5432"} 1.5"#,
            r#"plimsoll_replica_reads_total{host="10.0.0.1:5432"} 120"#,
            r#"plimsoll_read_pool_connections{state="in_use"} 3"#,
            "plimsoll_read_pool_max_size 12",
            "plimsoll_reads_refused 0",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line} in:\n{text}");
        }
        assert_eq!(text.matches("\nplimsoll_replica_lag_seconds{").count(), 1, "{text}");
    }

    #[test]
    fn the_older_format_names_a_counters_family_as_its_samples() {
        let text = rendered(Format::Text);
        assert!(text.contains("# TYPE plimsoll_http_requests_total counter\n"), "{text}");
        assert!(text.contains("# HELP plimsoll_http_requests_total Requests"), "{text}");
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"));
        assert_eq!(
            Format::wanted("application/openmetrics-text;version=1.0.0,*/*;q=0.1"),
            Format::OpenMetrics
        );
        assert_eq!(Format::wanted("*/*"), Format::Text);
    }
}
