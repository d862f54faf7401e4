//! Addresses to connect from: one, or a range as CIDR writes it.
//!
//! **Invariant:** the network's own address and its broadcast address are never handed out where there are others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most addresses of one range: more than any number of connections needs.
const MOST: u128 = 65_536;

/// One address, or a range of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    first: IpAddr,
    count: u32,
}

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SourceError {
    /// Neither an address nor a range.
    #[error("not an address or a range: write one as in 127.0.0.1 or 127.0.0.0/26")]
    Malformed,
    /// The prefix is longer than the address.
    #[error("the prefix is longer than the address: at most /32, or /128 for IPv6")]
    Prefix,
    /// Too many addresses.
    #[error("more than {MOST} addresses: name a longer prefix, such as /26")]
    TooMany,
}

impl Source {
    /// Reads `ADDR` or `ADDR/PREFIX`.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => {
                (address, Some(prefix.parse::<u8>().map_err(|_| SourceError::Malformed)?))
            }
        };
        let address: IpAddr = address.parse().map_err(|_| SourceError::Malformed)?;
        let (bits, number): (u32, u128) = match address {
            IpAddr::V4(v4) => (32, u128::from(v4.to_bits())),
            IpAddr::V6(v6) => (128, v6.to_bits()),
        };
        let free = bits.checked_sub(prefix.map_or(bits, u32::from)).ok_or(SourceError::Prefix)?;
        let size = 1_u128.checked_shl(free).unwrap_or(u128::MAX);
        if size > MOST {
            return Err(SourceError::TooMany);
        }
        let network = number & !(size - 1);
        // In an IPv4 network of more than two addresses the first is the network's and the last its broadcast address.
        let (skipped, count) = if address.is_ipv4() && size > 2 { (1, size - 2) } else { (0, size) };
        Ok(Self {
            first: of_number(address, network + skipped),
            count: u32::try_from(count).map_err(|_| SourceError::TooMany)?,
        })
    }

    /// How many addresses it holds.
    pub fn count(&self) -> u32 {
        self.count
    }

    fn nth(&self, n: u32) -> IpAddr {
        match self.first {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_add(n)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_add(n.into())).into(),
        }
    }
}

fn of_number(like: IpAddr, number: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

/// All addresses of several sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(Vec<IpAddr>);

impl Addresses {
    /// Every address once, in the order given.
    pub fn of(sources: &[Source]) -> Self {
        let mut all = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for source in sources {
            all.extend((0..source.count).map(|n| source.nth(n)).filter(|&address| seen.insert(address)));
        }
        Self(all)
    }

    /// The addresses; none where the system chooses.
    pub fn as_slice(&self) -> &[IpAddr] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<String> {
        let source = Source::parse(text).unwrap();
        Addresses::of(&[source]).as_slice().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_address_is_itself() {
        assert_eq!(addresses("127.0.0.9"), ["127.0.0.9"]);
        assert_eq!(addresses("127.0.0.9/32"), ["127.0.0.9"]);
        assert_eq!(addresses("::1"), ["::1"]);
    }

    #[test]
    fn a_range_leaves_out_the_network_and_its_broadcast() {
        assert_eq!(addresses("127.0.0.4/30"), ["127.0.0.5", "127.0.0.6"]);
        assert_eq!(addresses("127.0.0.6/30"), ["127.0.0.5", "127.0.0.6"], "whatever address names the range");
        assert_eq!(addresses("127.0.0.0/31"), ["127.0.0.0", "127.0.0.1"]);
        assert_eq!(addresses("fd00::/126"), ["fd00::", "fd00::1", "fd00::2", "fd00::3"]);
        assert_eq!(Source::parse("127.0.0.0/26").unwrap().count(), 62);
        assert_eq!(Source::parse("10.0.0.0/16").unwrap().count(), 65_534);
    }

    #[test]
    fn an_address_named_twice_counts_once() {
        let sources = [Source::parse("127.0.0.1").unwrap(), Source::parse("127.0.0.0/30").unwrap()];
        assert_eq!(Addresses::of(&sources).as_slice().len(), 2);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        assert_eq!(Source::parse("localhost"), Err(SourceError::Malformed));
        assert_eq!(Source::parse("127.0.0.1/x"), Err(SourceError::Malformed));
        assert_eq!(Source::parse("127.0.0.1/33"), Err(SourceError::Prefix));
        assert_eq!(Source::parse("10.0.0.0/8"), Err(SourceError::TooMany));
        assert_eq!(Source::parse("10.0.0.0/15"), Err(SourceError::TooMany));
        assert_eq!(Source::parse("::/0"), Err(SourceError::TooMany));
    }
}
