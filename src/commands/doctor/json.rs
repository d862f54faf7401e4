//! The answer for scripts.
//!
//! **Invariant:** keys are added and never renamed within a `version`; a key that holds a quantity names its unit, and
//! `unit` names that of `is` and `needs`.

use serde::Serialize;

use super::nodes::{self, Nodes};
use crate::kernel::judge::costs::{PROCESS_BYTES, SPARE_BYTES};
use crate::kernel::judge::{Clients, Finding, Mend, Question, State, Verdict};

const VERSION: u32 = 1;

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    connections: u64,
    clients: &'static str,
    fits: bool,
    holds_connections: Option<u64>,
    stopped_by: Option<&'static str>,
    processes: Processes,
    memory: Memory,
    capacity: Option<Capacity>,
    nodes: Option<nodes::Answer<'a>>,
    findings: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Processes {
    count: u64,
    connections_each: u64,
    reserve_descriptors_each: u64,
    descriptors_each: u64,
}

#[derive(Serialize)]
struct Memory {
    total_bytes: u64,
    kernel_bytes_per_connection: u64,
    user_bytes_per_connection: u64,
    processes: u64,
    bytes_per_process: u64,
    spare_bytes: u64,
}

#[derive(Serialize)]
struct Capacity {
    requests_per_second: f64,
    requests_per_second_per_client: f64,
    clients_served: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    limit: &'a str,
    unit: &'a str,
    state: &'static str,
    is: Option<&'a [u64]>,
    needs: Option<&'a [u64]>,
    holds_connections: Option<u64>,
    why: &'a str,
    source: &'a str,
    mend: Option<Remedy>,
}

#[derive(Serialize)]
struct Remedy {
    what: String,
    by_apply: bool,
}

/// One object, indented, with a line end.
pub(super) fn render(question: &Question, verdict: &Verdict, nodes: Option<&Nodes>) -> String {
    let answer = Answer {
        version: VERSION,
        connections: question.connections,
        clients: match question.clients {
            Clients::Elsewhere => "elsewhere",
            Clients::Here => "here",
        },
        fits: super::fits(verdict, nodes),
        holds_connections: verdict.ceiling.as_ref().map(|ceiling| ceiling.connections),
        stopped_by: verdict.ceiling.as_ref().map(|ceiling| ceiling.stopped_by),
        processes: Processes {
            count: verdict.processes.count,
            connections_each: verdict.processes.connections_each,
            reserve_descriptors_each: verdict.processes.reserve_each,
            descriptors_each: verdict.processes.descriptors_each,
        },
        memory: Memory {
            total_bytes: verdict.memory.total_bytes,
            kernel_bytes_per_connection: verdict.memory.kernel_bytes_per_connection,
            user_bytes_per_connection: verdict.memory.user_bytes_per_connection,
            processes: verdict.memory.processes,
            bytes_per_process: PROCESS_BYTES,
            spare_bytes: SPARE_BYTES,
        },
        capacity: question.load.map(|load| Capacity {
            requests_per_second: load.capacity_per_second,
            requests_per_second_per_client: load.rate_per_second,
            clients_served: load.clients_served(),
        }),
        nodes: nodes.map(Nodes::answer),
        findings: verdict.findings.iter().map(line).collect(),
    };
    // Strings and numbers only: nothing that JSON cannot hold.
    serde_json::to_string_pretty(&answer).unwrap_or_default() + "\n"
}

fn line(finding: &Finding) -> Line<'_> {
    Line {
        limit: finding.limit,
        unit: finding.unit,
        state: match finding.state {
            State::Holds => "holds",
            State::Short => "short",
            State::Stops => "stops",
            State::NotKnown => "not_known",
        },
        is: finding.is.as_deref(),
        needs: finding.needs.as_deref(),
        holds_connections: finding.holds_connections,
        why: &finding.why,
        source: finding.source,
        mend: finding.mend().map(|mend| match mend {
            Mend::Setting(what) => Remedy { what, by_apply: true },
            Mend::Advice(what) => Remedy { what, by_apply: false },
        }),
    }
}
