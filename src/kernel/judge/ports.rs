//! Ports of clients on this machine: each connection from one address to one port of the service takes one of them.
//!
//! **Invariant:** the range only ever widens: its first port goes down, its last one up.

use super::{Clients, Finding, Question, State};
use crate::kernel::facts::Facts;
use crate::kernel::ports::{USABLE_PERCENT, size_for, usable};
use crate::kernel::sysctl::Sysctl;

const SOURCE: &str = "Documentation/networking/ip-sysctl.rst";

/// The range is widened no further: services listen on ports below the first, as 8080 or 5432, and could not be started where a
/// client has theirs; the last is the last there is.
const WIDEST: (u64, u64) = (10_000, 65_535);

pub(super) fn findings(facts: &Facts, question: &Question) -> Vec<Finding> {
    vec![match question.clients {
        Clients::Elsewhere => Finding::of(
            facts,
            Sysctl::PortRange,
            "ports: first, last",
            SOURCE,
            "Clients elsewhere take ports of their own machines; this range is for clients here, and for connections to a database.",
        ),
        Clients::Here => range(facts, question),
    }]
}

fn range(facts: &Facts, question: &Question) -> Finding {
    let mut finding = Finding::of(facts, Sysctl::PortRange, "ports: first, last", SOURCE, "");
    let Some(&[first, last]) = finding.is.as_deref() else { return finding };
    let size = (last + 1).saturating_sub(first);
    let each = usable(size).saturating_mul(question.ports).max(1);
    let Some(sources) = question.sources else {
        let sources = question.connections.div_ceil(each);
        finding.why = if sources <= 1 {
            "Each connection takes a port of its client's address, once for each port of the service.".into()
        } else {
            format!(
                "Each connection takes a port of its client's address, once for each port of the service: {sources} \
                 source addresses are needed, as in plimsoll load --source {}.",
                loopback(sources)
            )
        };
        finding.needs = Some(vec![first, last]);
        return finding;
    };
    finding.why = format!(
        "Each connection takes a port of its client's address, once for each port of the service: {sources} addresses × \
         {} ports ({USABLE_PERCENT} % of {size}, since others have some) × {} of the service.",
        usable(size),
        question.ports
    );
    let ways = sources.saturating_mul(question.ports).max(1);
    let needed = question.connections.div_ceil(ways);
    finding.holds_connections = Some(ways.saturating_mul(usable(size)));
    finding.needs = Some(vec![first, last]);
    if needed > usable(size) {
        finding.state = State::Stops;
        let (low, high) = widen(first, last, size_for(needed));
        if usable(high + 1 - low) >= needed {
            finding.needs = Some(vec![low, high]);
            finding.setting = Some((Sysctl::PortRange, vec![low, high]));
        } else {
            let addresses = question.connections.div_ceil(each);
            finding.advice = Some(format!(
                "{addresses} source addresses instead of {sources}, or more ports of the service; the range is not widened \
                 below {}, where services listen",
                WIDEST.0
            ));
        }
    }
    finding
}

/// Takes free ports above the range first, where nobody listens, then those below. A range that goes lower already stays.
fn widen(first: u64, last: u64, needed: u64) -> (u64, u64) {
    let high = WIDEST.1.max(last);
    let low = (high + 1).saturating_sub(needed).max(WIDEST.0).min(first);
    (low, high)
}

/// The smallest block of the loopback's addresses with this many, not counting its first and last.
fn loopback(sources: u64) -> String {
    let bits = (sources + 2).next_power_of_two().ilog2().min(24);
    format!("127.0.0.0/{}", 32 - bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_widens_and_never_narrows() {
        assert_eq!(widen(32_768, 60_999, 30_000), (32_768, 65_535));
        assert_eq!(widen(32_768, 60_999, 40_000), (25_536, 65_535));
        assert_eq!(widen(32_768, 60_999, 70_000), (10_000, 65_535), "services' ports stay out of it");
        assert_eq!(widen(1000, 65_535, 70_000), (1000, 65_535));
    }

    #[test]
    fn a_block_of_the_loopback_has_as_many_addresses_as_are_asked_for() {
        for (sources, block) in [(2, "/30"), (3, "/29"), (36, "/26"), (62, "/26"), (63, "/25")] {
            assert!(loopback(sources).ends_with(block), "{sources}: {}", loopback(sources));
        }
    }
}
