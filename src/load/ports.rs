//! The near end of each connection: which source address and port it has.
//!
//! A TCP connection is told from others by both addresses and both ports, so that one source address reaches one destination as many
//! times as it has ports. Where sources are named, each connection is bound to a port of our own choice: `connect` looks for
//! a free port by trying one after the other, which takes ever longer as the range fills up, and `bind` with port 0 would not use a port
//! twice for two destinations.
//!
//! **Invariant:** two parts of a run never try the same near end.

use std::net::{IpAddr, SocketAddr};

use super::schedule::Part;
use crate::kernel::ports::{USABLE_PERCENT, usable};
use crate::kernel::read::System;
use crate::kernel::sysctl::Sysctl;

/// Ports of outgoing connections, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// The range where the system does not say: Linux's default.
const USUAL: PortRange = PortRange { first: 32_768, last: 60_999 };

impl PortRange {
    /// What `net.ipv4.ip_local_port_range` says.
    pub fn of_this_machine() -> Self {
        System::below("/").sysctl(Sysctl::PortRange).and_then(|values| Self::new(&values)).unwrap_or(USUAL)
    }

    fn new(values: &[u64]) -> Option<Self> {
        let &[first, last] = values else { return None };
        let (first, last) = (u16::try_from(first).ok()?, u16::try_from(last).ok()?);
        (first <= last && first > 0).then_some(Self { first, last })
    }

    fn count(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }
}

/// The source addresses, destinations and ports of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// Source addresses; none where the system chooses.
    pub sources: Vec<IpAddr>,
    /// How many addresses are asked.
    pub destinations: usize,
    /// Ports of each source address.
    pub ports: PortRange,
}

/// More connections than near ends.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{wanted} connections need more ports than there are: {sources} source {} × {destinations} destination {} × {} ports \
     ({USABLE_PERCENT} % of the {ports} of net.ipv4.ip_local_port_range, since others have some) make {room}. Add source addresses, as \
     with --source 127.0.0.0/{prefix} on a loopback, or destinations: serve with another --listen and name its URL here too",
     if *sources == 1 { "address" } else { "addresses" }, if *destinations == 1 { "address" } else { "addresses" },
     usable(*ports)
)]
pub struct TooFewPorts {
    wanted: u64,
    sources: usize,
    destinations: usize,
    ports: u64,
    room: u64,
    prefix: u32,
}

impl Ends {
    /// Pairs of a source address and a destination: each port serves each of them once.
    fn pairs(&self) -> u64 {
        (self.sources.len().max(1) as u64).saturating_mul(self.destinations as u64)
    }

    /// How many near ends there are.
    fn count(&self) -> u64 {
        self.pairs().saturating_mul(self.ports.count())
    }

    /// Refuses more connections than there are ports for, before any is opened.
    pub fn check(&self, wanted: u64) -> Result<(), TooFewPorts> {
        let room = self.pairs().saturating_mul(usable(self.ports.count()));
        if wanted <= room {
            return Ok(());
        }
        let per_source = usable(self.ports.count()).saturating_mul(self.destinations as u64).max(1);
        // A range of 2^n addresses has two that cannot be used.
        let needed = wanted.div_ceil(per_source) + 2;
        Err(TooFewPorts {
            wanted,
            sources: self.sources.len().max(1),
            destinations: self.destinations,
            ports: self.ports.count(),
            room,
            prefix: 32_u32.saturating_sub(needed.next_power_of_two().ilog2()),
        })
    }

    /// The near end number `k`, and which destination it is for: destinations take turns first, then source addresses, then ports, so that a
    /// few connections are spread over all addresses.
    fn nth(&self, k: u64) -> (Option<SocketAddr>, usize) {
        let destinations = self.destinations as u64;
        let destination = usize::try_from(k % destinations).unwrap_or_default();
        if self.sources.is_empty() {
            return (None, destination);
        }
        let (sources, rest) = (self.sources.len() as u64, k / destinations);
        let source = usize::try_from(rest % sources).unwrap_or_default();
        let port = rest / sources % self.ports.count();
        let port = self.ports.first.saturating_add(u16::try_from(port).unwrap_or_default());
        (Some(SocketAddr::new(self.sources[source], port)), destination)
    }
}

/// The near ends of one part of a run, one after the other and round again.
#[derive(Debug)]
pub(super) struct EndsOfPart {
    ends: Ends,
    part: Part,
    taken: u64,
}

impl EndsOfPart {
    pub(super) fn new(ends: Ends, part: Part) -> Self {
        Self { ends, part, taken: 0 }
    }

    /// The next near end, and the number of its destination.
    pub(super) fn next(&mut self) -> (Option<SocketAddr>, usize) {
        let k = self.taken.wrapping_mul(self.part.of.get()).wrapping_add(self.part.index);
        // A part's last round ends before the last near end rather than in another part's first.
        let rounds = (self.ends.count() / self.part.of).max(1);
        self.taken = if self.ends.sources.is_empty() { self.taken + 1 } else { (self.taken + 1) % rounds };
        self.ends.nth(k)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::num::NonZeroU64;

    use super::*;

    fn ends(sources: usize, destinations: usize) -> Ends {
        let sources = (1..=sources).map(|n| format!("127.0.0.{n}").parse().unwrap()).collect();
        Ends { sources, destinations, ports: PortRange { first: 1000, last: 1099 } }
    }

    #[test]
    fn a_range_is_two_ports_in_order() {
        assert_eq!(PortRange::new(&[32_768, 60_999]), Some(USUAL));
        assert_eq!(USUAL.count(), 28_232);
        for values in [&[60_999, 32_768][..], &[0, 60_999], &[32_768, 65_536], &[32_768], &[]] {
            assert_eq!(PortRange::new(values), None, "{values:?}");
        }
    }

    #[test]
    fn parts_share_the_near_ends_and_each_is_tried_once_before_any_again() {
        let ends = ends(3, 2);
        let mut seen = HashSet::new();
        for index in 0..7 {
            let mut part = EndsOfPart::new(ends.clone(), Part { index, of: NonZeroU64::new(7).unwrap() });
            for _ in 0..600 / 7 {
                assert!(seen.insert(part.next()), "tried twice");
            }
        }
        assert_eq!(seen.len(), 595);
    }

    #[test]
    fn one_source_reaches_each_destination_with_all_its_ports() {
        assert!(ends(1, 2).check(196).is_ok());
        assert!(ends(0, 1).check(98).is_ok());
        assert!(ends(0, 1).check(99).is_err());
    }

    #[test]
    fn a_million_from_one_address_is_refused_with_the_range_to_add() {
        let ends = Ends { sources: Vec::new(), destinations: 1, ports: USUAL };
        let message = ends.check(1_000_000).unwrap_err().to_string();
        assert!(message.contains("--source 127.0.0.0/26"), "{message}");
        let arithmetic = "1 source address × 1 destination address × 27667 ports (98 % of the 28232 of";
        assert!(message.contains(arithmetic) && message.contains("make 27667."), "{message}");
        let enough = (1..=62).map(|n| format!("127.0.0.{n}").parse().unwrap()).collect();
        assert_eq!(Ends { sources: enough, ..ends }.check(1_200_000), Ok(()));
    }
}
