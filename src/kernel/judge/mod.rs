//! Says what the facts mean for a number of connections: what each limit is, what they need of it, why, and what mends it.
//!
//! [`costs`] holds what a connection costs, [`processes`] how many processes it takes; then one file for each kind of
//! limit: [`descriptors`], [`ports`], [`buffers`], [`queues`], [`tables`], [`machine`], [`service`].
//!
//! **Invariant:** pure. No file, no clock, no environment: the same facts and question give the same verdict.

use super::facts::Facts;
use super::sysctl::Sysctl;

mod buffers;
#[cfg(test)]
mod cases;
pub mod costs;
mod descriptors;
mod finding;
mod machine;
mod ports;
pub mod processes;
mod queues;
mod service;
mod tables;

pub use costs::MemoryCost;
pub use finding::{Finding, Mend, State};
pub use processes::{Processes, Reserve};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    /// Connections to hold at once.
    pub connections: u64,
    /// Where their other ends are.
    pub clients: Clients,
    /// Processes that serve; none for as many as it takes.
    pub processes: Option<u64>,
    /// Source addresses that clients on this machine have; none for as many as it takes, of the loopback's 16 million.
    pub sources: Option<u64>,
    /// Ports that the service listens on.
    pub ports: u64,
    /// Descriptors that each process keeps back.
    pub reserve: Reserve,
    /// What the service was measured to do, and what each client asks of it.
    pub load: Option<Load>,
}

/// Where the clients run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// On other machines, whose limits are theirs.
    Elsewhere,
    /// Here, so that memory, files and ports hold both ends.
    Here,
}

impl Clients {
    /// Ends of each connection that this machine holds.
    pub fn ends(self) -> u64 {
        match self {
            Self::Elsewhere => 1,
            Self::Here => 2,
        }
    }
}

/// Throughput against demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests a second that the service was measured to answer.
    pub capacity_per_second: f64,
    /// Requests a second that each client sends.
    pub rate_per_second: f64,
}

impl Load {
    /// Clients that the capacity serves: 100 000 requests a second at one a second each are 100 000 clients.
    pub fn clients_served(self) -> u64 {
        // A cast to an integer stays within its range, and the fraction of a client is none.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounds down, at zero and above"
        )]
        let clients = (self.capacity_per_second / self.rate_per_second).floor() as u64;
        clients
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// One for each limit, in the order in which connections meet them.
    pub findings: Vec<Finding>,
    /// How the connections are spread.
    pub processes: Processes,
    /// What they cost.
    pub memory: MemoryCost,
    /// Connections that this machine can hold today, and the limit that stops it there; none where no limit is known, and where not
    /// even one connection fits.
    pub ceiling: Option<Ceiling>,
    /// Clients that the measured capacity serves.
    pub clients_served: Option<u64>,
}

/// Where it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    /// The most connections.
    pub connections: u64,
    /// The name of the limit that allows no more.
    pub stopped_by: &'static str,
}

impl Verdict {
    /// Whether nothing stops the connections that were asked for.
    pub fn fits(&self) -> bool {
        self.with(State::Stops).next().is_none()
    }

    /// The findings in this state.
    pub fn with(&self, state: State) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.state == state)
    }

    /// The settings that are below what is needed, with the values that mend them.
    pub fn changes(&self) -> impl Iterator<Item = (Sysctl, &[u64])> {
        self.settings()
            .filter(|(finding, ..)| finding.state.wants_mending())
            .map(|(_, key, value)| (key, value))
    }

    /// Every setting that the connections need something of, with a value that is enough and never below the one in force.
    pub fn settings(&self) -> impl Iterator<Item = (&Finding, Sysctl, &[u64])> {
        self.findings.iter().filter_map(|finding| {
            let (sysctl, values) = finding.setting.as_ref()?;
            Some((finding, *sysctl, values.as_slice()))
        })
    }
}

/// Holds the facts against the question.
pub fn judge(facts: &Facts, question: &Question) -> Verdict {
    let processes = Processes::of(facts, question);
    let findings: Vec<Finding> = [
        descriptors::findings(facts, question, processes),
        ports::findings(facts, question),
        buffers::findings(facts, question),
        queues::findings(facts, question),
        tables::findings(facts, question, processes),
        machine::findings(facts, question),
        service::findings(facts, question),
    ]
    .into_iter()
    .flatten()
    .collect();
    let ceilings = findings.iter().filter_map(|finding| {
        Some(Ceiling { connections: finding.holds_connections?, stopped_by: finding.limit })
    });
    let ceiling =
        ceilings.min_by_key(|ceiling| ceiling.connections).filter(|ceiling| ceiling.connections > 0);
    Verdict {
        ceiling,
        processes,
        memory: MemoryCost::of(facts, question),
        clients_served: question.load.map(Load::clients_served),
        findings,
    }
}
