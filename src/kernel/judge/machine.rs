//! The machine itself: memory, what the control group leaves of it, and cores.
//!
//! **Invariant:** what is available today counts, not what the machine was sold with.

use super::costs::{KERNEL_BYTES_PER_END, MemoryCost, USER_BYTES_PER_CONNECTION, most_connections};
use super::{Finding, Question, State};
use crate::kernel::facts::{Facts, Memory};

pub(super) fn findings(facts: &Facts, question: &Question) -> Vec<Finding> {
    let of_machine = format!(
        "An end of a connection costs {KERNEL_BYTES_PER_END} bytes in the kernel and up to {USER_BYTES_PER_CONNECTION} in the \
         process that holds it, beside what each process costs by itself."
    );
    let mut findings = vec![memory("memory", "proc_meminfo(5)", of_machine, facts.memory, facts, question)];
    if let Some(group) = facts.cgroup_memory {
        let of_group = format!(
            "The control group's limit, {} MiB, holds for the kernel's memory of our connections as for our own; near it `plimsoll serve` \
             takes no more of them.",
            group.total_bytes >> 20
        );
        let source = "Documentation/admin-guide/cgroup-v2.rst";
        findings.push(memory(
            "memory of the control group",
            source,
            of_group,
            facts.cgroup_memory,
            facts,
            question,
        ));
    }
    findings.push(cores(facts));
    findings
}

fn memory(
    limit: &'static str,
    source: &'static str,
    why: String,
    memory: Option<Memory>,
    facts: &Facts,
    question: &Question,
) -> Finding {
    let need = |question: &Question| MemoryCost::of(facts, question).total_bytes;
    let mut finding = Finding::new(limit, "bytes available", source, why);
    finding.needs = Some(vec![need(question)]);
    let Some(memory) = memory else { return finding };
    let available = memory.available_bytes;
    finding.is = Some(vec![available]);
    finding.state = if need(question) <= available { State::Holds } else { State::Stops };
    finding.advice = Some(match limit {
        "memory" => "a machine with more memory, or fewer connections".into(),
        _ => "a higher limit: memory.max of the group (docker run --memory, MemoryMax= in a unit of systemd)"
            .into(),
    });
    finding.holding(|_| most_connections(question, |fewer| need(fewer) <= available))
}

fn cores(facts: &Facts) -> Finding {
    let quota = match facts.cores.quota {
        Some(quota) => format!("the control group's quota is {quota:.2} cores"),
        None => "the control group sets no quota".into(),
    };
    let why = format!(
        "Connections that wait cost no time of a core; those that ask do, and capacity grows with the cores that may be used: {quota}."
    );
    let mut finding = Finding::new("cores", "cores", "sched_setaffinity(2)", why);
    finding.is = Some(vec![facts.cores.usable.into()]);
    finding.state = State::Holds;
    finding
}
