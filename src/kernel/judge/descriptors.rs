//! Open files: a process's limit, what it may be raised to, the machine's, and what epoll may watch.
//!
//! **Invariant:** more processes go before a higher limit, since any user can have them.

use super::processes::{MOST_PROCESSES, limit};
use super::{Finding, Processes, Question, State, costs::most_connections};
use crate::kernel::facts::Facts;
use crate::kernel::sysctl::Sysctl;

const FS: &str = "Documentation/admin-guide/sysctl/fs.rst";

pub(super) fn findings(facts: &Facts, question: &Question, processes: Processes) -> Vec<Finding> {
    vec![
        soft_limit(facts),
        own_limit(facts, question, processes),
        highest_limit(facts, question, processes),
        whole_machine(facts, question),
        watches(facts, question),
    ]
}

/// Whether each process has room, and there are not too many of them.
fn have_room(facts: &Facts, question: &Question) -> bool {
    let processes = Processes::of(facts, question);
    processes.count <= MOST_PROCESSES && processes.descriptors_each <= limit(facts)
}

/// The limit in force before the service raises it.
fn soft_limit(facts: &Facts) -> Finding {
    let why = "As this command was started with it; serve raises it to the hard one by itself, so that nothing is needed of it.";
    let mut finding = Finding::new("RLIMIT_NOFILE (soft)", "descriptors", "getrlimit(2)", why);
    if let Some(limits) = facts.descriptors {
        finding.is = Some(vec![limits.soft]);
        finding.state = State::Holds;
    }
    finding
}

fn own_limit(facts: &Facts, question: &Question, processes: Processes) -> Finding {
    let why = format!(
        "Each connection is a descriptor of its process, beside {} that the service keeps back; several processes each \
         have the limit to themselves.",
        processes.reserve_each
    );
    let mut finding = Finding::new("RLIMIT_NOFILE (hard)", "descriptors", "getrlimit(2)", why);
    let Some(limits) = facts.descriptors else { return finding };
    finding.is = Some(vec![limits.hard]);
    finding.needs = Some(vec![processes.descriptors_each]);
    finding.state = if have_room(facts, question) { State::Holds } else { State::Stops };
    let alone = Processes::of(facts, &Question { processes: None, ..*question }).count;
    finding.advice = Some(if alone <= MOST_PROCESSES {
        format!("plimsoll serve --processes {alone}")
    } else {
        let least = processes.descriptors_each.max(question.connections.div_ceil(MOST_PROCESSES) * 2);
        format!(
            "as root, before the service is started: ulimit -n {least} (in a unit of systemd: LimitNOFILE={least})"
        )
    });
    finding.holding(|_| most_connections(question, |fewer| have_room(facts, fewer)))
}

fn highest_limit(facts: &Facts, question: &Question, processes: Processes) -> Finding {
    let why = "No process's limit of descriptors can be raised past it, and none of its descriptors is numbered past it.";
    Finding::of(facts, Sysctl::NrOpen, "descriptors", FS, why)
        .at_least(Sysctl::NrOpen, vec![processes.descriptors_each], State::Stops)
        .holding(|is| {
            most_connections(question, |fewer| {
                let processes = Processes::of(facts, fewer);
                processes.count <= MOST_PROCESSES && is.first() >= Some(&processes.descriptors_each)
            })
        })
}

fn whole_machine(facts: &Facts, question: &Question) -> Finding {
    let why = "Every end of a connection is an open file of the machine, beside those open now; past the limit only root \
               opens more.";
    let need = |question: &Question| {
        let ends = question.clients.ends();
        let processes = Processes::of(facts, question);
        let others = ends.saturating_mul(processes.count).saturating_mul(processes.reserve_each);
        facts
            .open_files
            .unwrap_or(0)
            .saturating_add(others)
            .saturating_add(ends.saturating_mul(question.connections))
    };
    Finding::of(facts, Sysctl::FileMax, "files", "proc_sys_fs(5)", why)
        .at_least(Sysctl::FileMax, vec![need(question)], State::Stops)
        .holding(|is| most_connections(question, |fewer| is.first() >= Some(&need(fewer))))
}

fn watches(facts: &Facts, question: &Question) -> Finding {
    let why = "Each end is watched by an epoll set, and one user's sets watch no more than this together.";
    let ends = question.clients.ends();
    Finding::of(facts, Sysctl::EpollWatches, "descriptors", "epoll(7)", why)
        .at_least(Sysctl::EpollWatches, vec![ends.saturating_mul(question.connections)], State::Stops)
        .holding(|is| is.first().copied().unwrap_or(0) / ends)
}
