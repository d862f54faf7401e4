//! The database's servers as they are shown, and whether they serve what is only read.
//!
//! **Invariant:** pure, and empty where reads go where writes do.

use super::{HostStatus, Sample};
use crate::telemetry::hosts::{Host, Side, Word, sum};
use crate::telemetry::snapshot::Process;

impl Sample {
    /// The database's servers, as all processes together see them.
    pub fn hosts(&self) -> Vec<Host> {
        let words = self.processes.iter();
        let words = words.map(|process| Word { hosts: &process.hosts, is_old: process.silent });
        sum(words, &self.ended_reads)
    }
}

impl Process {
    /// Whether a server is in use for what is only read, other than by way of writes.
    pub fn reads_elsewhere(&self) -> bool {
        self.hosts.iter().any(|host| host.side == Side::Reads && host.in_use)
    }
}

/// Each with the rate of what was sent there between two samples that are so many seconds apart.
pub(super) fn show(earlier: &Sample, now: &Sample, seconds: f64) -> Vec<HostStatus> {
    let before = earlier.hosts();
    let rate = |host: &Host| {
        let before = before.iter().find(|before| before.side == host.side && before.at == host.at);
        let before = before.and_then(|before| before.served).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "what comes between two samples stays far below 2^52")]
        let since = host.served?.saturating_sub(before) as f64;
        Some(if seconds > 0.0 { since / seconds } else { 0.0 })
    };
    now.hosts().into_iter().map(|host| HostStatus { served_rate: rate(&host), host }).collect()
}

/// What is amiss with the servers in a process that serves all the same.
pub fn notice(now: &Sample) -> Option<String> {
    let mut serving = now.processes.iter().filter(|process| !process.draining && !process.silent);
    serving.find_map(|process| {
        let has_none = !process.hosts.is_empty() && !process.reads_elsewhere();
        let to_primary = || "no host of --database-read-url is in use, and reads go to the primary".into();
        let away = process.hosts.iter().find(|host| host.side == Side::Writes && !host.in_use);
        let why = |host: &Host| host.left_out.clone().unwrap_or_default();
        let writes = away.map(|host| format!("{}, which takes writes, is away: {}", host.at, why(host)));
        process.reads_trouble.clone().or(writes).or_else(|| has_none.then(to_primary))
    })
}

#[cfg(test)]
mod tests {
    use super::super::work_out::reasons;
    use super::*;
    use crate::telemetry::hosts::{Ended, Role};
    use crate::telemetry::snapshot::Totals;

    fn host(served: u64, in_use: bool) -> Host {
        Host {
            side: Side::Reads,
            at: "a:1".into(),
            role: Some(Role::Standby),
            lag_ms: Some(7),
            in_use,
            left_out: None,
            open: 1,
            served: Some(served),
        }
    }

    fn sample(hosts: Vec<Host>) -> Sample {
        let writes = Host { side: Side::Writes, at: "b:1".into(), served: None, ..host(0, true) };
        let hosts = std::iter::once(writes).chain(hosts).collect();
        let processes = vec![Process { hosts, ..Process::default() }];
        Sample { at_ns: 0, at_unix_ms: 0, processes, ended: Totals::default(), ended_reads: Ended::default() }
    }

    #[test]
    fn each_server_has_the_rate_of_what_came_between_the_samples() {
        let shown = show(&sample(vec![host(10, true)]), &sample(vec![host(50, true)]), 4.0);
        assert_eq!(shown.iter().map(|host| host.served_rate).collect::<Vec<_>>(), [None, Some(10.0)]);
        let new = show(&sample(vec![]), &sample(vec![host(50, true)]), 4.0);
        assert_eq!(new[1].served_rate, Some(12.5), "one that was not known counts from its start");
        let fewer = show(&sample(vec![host(50, true)]), &sample(vec![host(1, true)]), 4.0);
        assert_eq!(fewer[1].served_rate, Some(0.0), "it was forgotten in between");
    }

    #[test]
    fn the_rate_of_a_process_that_has_ended_is_not_lost() {
        let (earlier, mut now) = (sample(vec![host(50, true)]), sample(vec![host(8, true)]));
        now.ended_reads.add(&earlier.processes[0].hosts, std::iter::empty());
        assert_eq!(show(&earlier, &now, 2.0)[1].served_rate, Some(4.0));
        assert_eq!(now.hosts()[1].served, Some(58));
    }

    #[test]
    fn what_is_amiss_with_the_servers_is_told_though_requests_are_served() {
        assert!(notice(&sample(vec![host(1, false)])).is_some());
        assert!(notice(&sample(vec![])).is_some(), "none was found yet");
        assert_eq!(notice(&sample(vec![host(1, true), host(2, false)])), None);
        let mut cut_off = sample(vec![host(1, true)]);
        cut_off.processes[0].hosts[0].in_use = false;
        cut_off.processes[0].hosts[0].left_out = Some("refused".into());
        assert_eq!(notice(&cut_off).as_deref(), Some("b:1, which takes writes, is away: refused"));
        let mut strict = sample(vec![host(1, false)]);
        strict.processes[0].reads_trouble = Some("reads are refused".into());
        assert_eq!(notice(&strict).as_deref(), Some("reads are refused"));
        let mut without = sample(vec![]);
        without.processes[0].hosts.clear();
        assert_eq!(notice(&without), None);
    }

    #[test]
    fn it_is_not_ready_where_all_processes_refuse_to_read() {
        let mut now = sample(vec![host(1, true)]);
        now.processes[0].max_connections = 1;
        now.processes.push(now.processes[0].clone());
        now.processes[0].reads_trouble = Some("reads are refused".into());
        assert_eq!(reasons(&now), Vec::<String>::new(), "one of them reads");
        now.processes[1].draining = true;
        assert_eq!(reasons(&now), ["reads are refused"], "and that one is ending");
        now.processes[1] = now.processes[0].clone();
        assert_eq!(reasons(&now), ["reads are refused"]);
    }

    #[test]
    fn the_fields_of_a_server_stand_beside_each_other_in_json() {
        let shown = show(&sample(vec![]), &sample(vec![host(8, true)]), 2.0);
        let value = serde_json::to_value(&shown[1]).unwrap();
        let expected = serde_json::json!({
            "side": "reads", "at": "a:1", "role": "standby", "lag_ms": 7, "in_use": true, "left_out": null, "open": 1,
            "served": 8, "served_rate": 4.0
        });
        assert_eq!(value, expected);
    }
}
