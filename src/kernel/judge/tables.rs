//! Tables that the kernel keeps of connections, and what becomes of those that close.
//!
//! **Invariant:** only tracking stops connections; the others change how they end.

use super::{Clients, Finding, Processes, Question, State};
use crate::kernel::facts::Facts;
use crate::kernel::sysctl::Sysctl;

const IP: &str = "Documentation/networking/ip-sysctl.rst";

pub(super) fn findings(facts: &Facts, question: &Question, processes: Processes) -> Vec<Finding> {
    let closing = "Closed connections wait out their time here, 60 s each; past it they are forgotten at once and the kernel \
                   warns, as when all close together.";
    let orphaned = "Connections of a process that was killed have no holder until they are closed; past it the kernel resets \
                    them and warns.";
    vec![
        tracking(facts, question),
        Finding::of(facts, Sysctl::TimeWaitBuckets, "connections", IP, closing).at_least(
            Sysctl::TimeWaitBuckets,
            vec![question.connections],
            State::Short,
        ),
        Finding::of(facts, Sysctl::Orphans, "connections", IP, orphaned).at_least(
            Sysctl::Orphans,
            vec![processes.connections_each],
            State::Short,
        ),
        reuse(facts, question),
        migrate(facts, processes),
    ]
}

/// The kernel tracks where a rule of the firewall asks for it, which cannot be seen from here: the module counts.
fn tracking(facts: &Facts, question: &Question) -> Finding {
    let tracked = facts.tracked.unwrap_or(0);
    let why = if facts.sysctls.contains_key(&Sysctl::ConntrackMax) {
        format!(
            "Where a rule of the firewall tracks connections, each takes an entry beside the {tracked} tracked now, and past \
             the limit packets of new ones are dropped."
        )
    } else {
        "Connection tracking is not loaded, so that it stops nothing.".into()
    };
    let source = "Documentation/networking/nf_conntrack-sysctl.rst";
    Finding::of(facts, Sysctl::ConntrackMax, "connections", source, why)
        .at_least(Sysctl::ConntrackMax, vec![question.connections.saturating_add(tracked)], State::Stops)
        .holding(|is| is.first().copied().unwrap_or(0).saturating_sub(tracked))
}

fn reuse(facts: &Facts, question: &Question) -> Finding {
    let why = "A client here that connects again wants ports that still wait out their time: 1 lets it have them after a \
               second, 2 on the loopback only, 0 never.";
    let finding = Finding::of(facts, Sysctl::TimeWaitReuse, "0, 1 or 2", IP, why);
    match question.clients {
        Clients::Elsewhere => finding,
        Clients::Here => finding.at_least(Sysctl::TimeWaitReuse, vec![1], State::Short),
    }
}

fn migrate(facts: &Facts, processes: Processes) -> Finding {
    let why = "With several processes, 1 moves what waits at a listener that closes to another of its port instead of resetting \
               it.";
    let finding = Finding::of(facts, Sysctl::MigrateRequests, "0 or 1", IP, why);
    if processes.count > 1 {
        finding.at_least(Sysctl::MigrateRequests, vec![1], State::Short)
    } else {
        finding
    }
}
