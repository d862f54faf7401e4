//! What is not the kernel's: PostgreSQL's room, and the capacity that was measured.
//!
//! **Invariant:** capacity says how many clients are served, never how many connections are held.

use super::processes::limit;
use super::{Finding, Processes, Question, State, costs::most_connections};
use crate::kernel::facts::{Database, Facts};

pub(super) fn findings(facts: &Facts, question: &Question) -> Vec<Finding> {
    let mut findings = vec![database(facts, question)];
    findings.extend(capacity(question));
    findings
}

fn database(facts: &Facts, question: &Question) -> Finding {
    let name = "max_connections (PostgreSQL)";
    let source = "the PostgreSQL manual, \"Connections and Authentication\"";
    let finding = |why: String| Finding::new(name, "connections free", source, why);
    match &facts.database {
        Database::NotNamed => finding(
            "Not checked: no database is named (--database-url, DATABASE_URL or PGHOST); a private PostgreSQL is made with room."
                .into(),
        ),
        Database::NotReached(why) => finding(format!("Not checked: the database was not reached: {why}.")),
        Database::Room { limit: allowed, free, wanted } => {
            let wanted_for = |question: &Question| wanted_by(wanted, Processes::of(facts, question).count);
            let wanted = wanted_for(question);
            let why = format!(
                "Every worker of every process has a database connection of its own at least; {allowed} are allowed, and the rest \
                 is reserved or taken."
            );
            let mut finding = finding(why);
            finding.is = Some(vec![*free]);
            finding.needs = Some(vec![wanted]);
            finding.state = if wanted <= *free { State::Holds } else { State::Stops };
            let more = allowed.saturating_add(wanted.saturating_sub(*free));
            finding.advice = Some(format!("max_connections = {more} in postgresql.conf, and a restart of PostgreSQL"));
            // Processes that are given don't grow with the connections: there is room for any number of these, or for none.
            if wanted <= *free && (question.processes.is_some() || limit(facts) == u64::MAX) {
                return finding;
            }
            finding.holding(|_| most_connections(question, |other| wanted_for(other) <= *free))
        }
    }
}

/// What so many processes want.
fn wanted_by(wanted: &[u64], processes: u64) -> u64 {
    let entry = usize::try_from(processes.saturating_sub(1)).ok().and_then(|entry| wanted.get(entry));
    entry.or(wanted.last()).copied().unwrap_or(0)
}

fn capacity(question: &Question) -> Option<Finding> {
    let load = question.load?;
    let clients = load.clients_served();
    let why = format!(
        "Clients that send {} requests a second each are served as long as they ask for no more than was measured: {clients} of \
         them.",
        load.rate_per_second
    );
    let mut finding = Finding::new("capacity", "clients", "arithmetic: capacity ÷ rate of each client", why);
    finding.is = Some(vec![clients]);
    finding.needs = Some(vec![question.connections]);
    finding.state = if question.connections <= clients { State::Holds } else { State::Stops };
    finding.advice = Some("fewer requests of each client, a faster service, or more machines".into());
    Some(finding)
}
