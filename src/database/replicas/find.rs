//! Looks where the names of the servers that are read from lead.
//!
//! A server is dismissed when the look-ups do not lead there any more: many of them, for a name may lead to some of its addresses at a time,
//! by turns. Until another one is read from it stays, unless it ended itself.
//!
//! **Invariant:** a name that is not found for the moment dismisses nobody that it led to, and those of other names are judged all the same.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::super::dial::{self, Address, Candidate};
use super::host::ReadHost;
use super::{Fleet, MOST_HOSTS, single};

/// How long a look-up may take.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(2);
/// A server stays for so many look-ups that do not lead there: a minute of them. Of a name that leads to one of two addresses by chance,
/// one misses them all once in 4096 times.
const MOST_MISSED: u32 = 12;

/// What a look at all names gave.
#[derive(Debug, Default)]
struct Found {
    /// Servers with what they are called, in the order of the names.
    hosts: Vec<(Address, String)>,
    /// The place of each one's name among the names.
    places: Vec<usize>,
    /// Names that were not found.
    lost: Vec<(String, u16)>,
}

impl Found {
    /// Takes the servers in to which one candidate leads, or that it leads nowhere now.
    fn add(&mut self, place: usize, candidate: Candidate, addresses: Option<Vec<Address>>) {
        match (addresses, candidate) {
            (Some(addresses), _) => {
                let is_alone = addresses.len() == 1;
                for address in addresses {
                    let name = single::name(&address, is_alone);
                    self.hosts.push((address, name));
                    self.places.push(place);
                }
                self.hosts.truncate(MOST_HOSTS);
                self.places.truncate(MOST_HOSTS);
            }
            (None, Candidate::Named(name, port)) => self.lost.push((name, port)),
            (None, Candidate::At(_)) => {}
        }
    }

    /// Where a server stands in the order of the names, if one leads there.
    fn place(&self, address: &Address) -> Option<usize> {
        let at = self.hosts.iter().position(|(found, _)| found == address)?;
        self.places.get(at).copied()
    }

    /// Whether nobody can say if a name leads there.
    fn is_open(&self, address: &Address) -> bool {
        let Address::Tcp(at, Some(name)) = address else { return false };
        self.lost.iter().any(|(lost, port)| **lost == **name && *port == at.port())
    }

    /// Dismisses those to which no name leads any more; gives those that are new.
    fn settle(
        self,
        hosts: &mut Vec<Arc<ReadHost>>,
        new: impl Fn(Address, String) -> ReadHost,
    ) -> Vec<Arc<ReadHost>> {
        let has_another = hosts.iter().any(|host| host.is_in_use() && self.place(&host.address).is_some());
        for host in hosts.iter() {
            let mut known = host.known();
            if self.place(&host.address).is_some() || self.is_open(&host.address) {
                known.missed = 0;
                continue;
            }
            known.missed = known.missed.saturating_add(1);
            let is_gone = known.left.as_ref().is_some_and(|left| left.is_gone);
            known.is_dismissed |= is_gone || (known.missed >= MOST_MISSED && has_another);
        }
        let mut newcomers = Vec::new();
        for (address, name) in &self.hosts {
            let is_known = |host: &Arc<ReadHost>| host.address == *address && !host.known().is_dismissed;
            if !hosts.iter().any(is_known) && hosts.len() < MOST_HOSTS {
                newcomers.push(Arc::new(new(address.clone(), name.clone())));
                hosts.extend(newcomers.last().cloned());
            }
        }
        if self.lost.is_empty() {
            // As the names stand; those of one name as they came, whichever way a look-up turns them.
            hosts.sort_by_key(|host| self.place(&host.address).unwrap_or(usize::MAX));
        }
        newcomers
    }
}

impl Fleet {
    /// Looks where the names lead; gives the servers that were not known, and dismisses those to which none leads any more.
    pub(super) async fn find(&self) -> Vec<Arc<ReadHost>> {
        let Ok(candidates) = dial::candidates(&self.config) else { return Vec::new() };
        let mut found = Found::default();
        for (place, candidate) in candidates.into_iter().enumerate() {
            let resolved = timeout(RESOLVE_PATIENCE, dial::resolve(&candidate, &self.config)).await;
            let addresses =
                resolved.ok().and_then(Result::ok).map(|addresses| addresses.into_iter().collect());
            found.add(place, candidate, addresses);
        }
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        // Nobody asks those any more, and nobody has a session there.
        hosts.retain(|host| !host.known().is_dismissed || host.open() > 0);
        let new = found.settle(&mut hosts, |address, name| {
            let config = single::only(&self.config, &address);
            ReadHost::new(address, name, config)
        });
        drop(hosts);
        self.settle();
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8, name: &str) -> Address {
        Address::Tcp(([192, 0, 2, last], 5432).into(), Some(name.into()))
    }

    /// One look-up, at which each name leads to these; those in use answer at once.
    fn look(hosts: &mut Vec<Arc<ReadHost>>, names: &[(&str, Option<&[u8]>)]) -> Vec<bool> {
        let mut found = Found::default();
        for (place, (name, lasts)) in names.iter().enumerate() {
            let addresses = lasts.map(|lasts| lasts.iter().map(|last| at(*last, name)).collect());
            found.add(place, Candidate::Named((*name).into(), 5432), addresses);
        }
        for host in
            found.settle(hosts, |address, name| ReadHost::new(address, name, "host=x".parse().unwrap()))
        {
            host.known().left = None;
            host.put(None);
        }
        hosts.iter().map(|host| host.known().is_dismissed).collect()
    }

    #[test]
    fn a_name_that_leads_to_its_addresses_by_turns_loses_none_of_them() {
        let mut hosts = Vec::new();
        for turn in 0..40 {
            let dismissed = look(&mut hosts, &[("db", Some(&[turn % 2 + 1]))]);
            assert!(!dismissed.contains(&true) && hosts.len() <= 2, "{turn}: {dismissed:?}");
        }
    }

    #[test]
    fn a_server_to_which_no_name_leads_is_dismissed_after_a_minute_or_when_it_ends() {
        let mut hosts = Vec::new();
        look(&mut hosts, &[("db", Some(&[1, 2]))]);
        for _ in 1..MOST_MISSED {
            assert_eq!(look(&mut hosts, &[("db", Some(&[2]))]), [false, false]);
        }
        let dismissed = |hosts: &[Arc<ReadHost>]| -> Vec<bool> {
            hosts.iter().map(|host| host.address == at(1, "db") && host.known().is_dismissed).collect()
        };
        look(&mut hosts, &[("db", Some(&[2]))]);
        assert_eq!(dismissed(&hosts).iter().filter(|is| **is).count(), 1);
        let mut hosts = Vec::new();
        look(&mut hosts, &[("db", Some(&[1]))]);
        hosts[0].known().left = Some(super::super::judge::Left::gone("it ended"));
        look(&mut hosts, &[("db", Some(&[2]))]);
        assert!(hosts.iter().any(|host| host.address == at(1, "db") && host.known().is_dismissed));
    }

    #[test]
    fn the_last_server_that_is_read_from_stays_until_there_is_another() {
        let mut hosts = Vec::new();
        look(&mut hosts, &[("db", Some(&[1]))]);
        for _ in 0..3 * MOST_MISSED {
            assert_eq!(look(&mut hosts, &[("db", Some(&[]))]), [false]);
        }
        look(&mut hosts, &[("db", Some(&[2]))]);
        look(&mut hosts, &[("db", Some(&[2]))]);
        assert!(hosts.iter().any(|host| host.address == at(1, "db") && host.known().is_dismissed));
    }

    #[test]
    fn a_name_that_is_not_found_keeps_its_own_servers_and_nobody_elses() {
        let mut hosts = Vec::new();
        look(&mut hosts, &[("a", Some(&[1])), ("b", Some(&[2, 3]))]);
        for _ in 0..MOST_MISSED {
            look(&mut hosts, &[("a", None), ("b", Some(&[2]))]);
        }
        for host in &hosts {
            assert_eq!(host.known().is_dismissed, host.address == at(3, "b"), "{host:?}");
        }
    }

    #[test]
    fn servers_stand_in_the_order_of_their_names_whenever_they_were_found() {
        let mut hosts = Vec::new();
        look(&mut hosts, &[("a", None), ("b", Some(&[2]))]);
        look(&mut hosts, &[("a", Some(&[1])), ("b", Some(&[2]))]);
        let order: Vec<&Address> = hosts.iter().map(|host| &host.address).collect();
        assert_eq!(order, [&at(1, "a"), &at(2, "b")]);
    }
}
