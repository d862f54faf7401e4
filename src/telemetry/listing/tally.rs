//! Counts one worker's connections for a filter, one after the other.
//!
//! **Invariant:** what is remembered is bounded, however many connections are seen: [`MOST_PEERS_COUNTED`] addresses, and twice as
//! many rows as are wanted.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::super::labels::{Age, ConnectionState};
use super::{Filter, Listing, MOST_ROWS, Row, keep_top, thin};

/// Addresses that are counted apart while connections are gone through; those past it are counted with the others.
const MOST_PEERS_COUNTED: usize = 65_536;

/// A connection as its worker sees it.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// What it is doing.
    pub state: ConnectionState,
    /// Seconds since anything came.
    pub idle_s: f64,
    /// Requests answered since it was last woken, where it is served.
    pub requests: Option<u32>,
}

/// The count so far.
#[derive(Debug)]
pub struct Tally {
    filter: Filter,
    pid: u32,
    worker: u32,
    listing: Listing,
    peers: HashMap<IpAddr, u64>,
    /// Of those that fit, each of so many becomes a row.
    stride: u64,
}

impl Tally {
    /// Begins to count the connections of a worker.
    pub fn new(filter: &Filter, pid: u32, worker: u32) -> Self {
        let filter = Filter { rows: filter.rows.min(MOST_ROWS), ..filter.clone() };
        Self { filter, pid, worker, listing: Listing::default(), peers: HashMap::new(), stride: 1 }
    }

    /// Counts a connection; its `peer` is asked for only where it matters.
    pub fn see(&mut self, seen: Seen, peer: impl FnOnce() -> Option<SocketAddr>) {
        self.listing.open += 1;
        #[expect(clippy::cast_precision_loss, reason = "seconds that somebody typed")]
        let too_fresh = self.filter.idle_for_s.is_some_and(|least| seen.idle_s < least as f64);
        if too_fresh || self.filter.state.is_some_and(|state| state != seen.state) {
            return;
        }
        let peer = peer();
        let address = peer.map(|peer| peer.ip().to_canonical());
        if self.filter.peer.is_some_and(|wanted| address != Some(wanted.to_canonical())) {
            return;
        }
        self.listing.by_state[seen.state] += 1;
        self.listing.by_age[Age::of(seen.idle_s)] += 1;
        self.count_peer(address);
        if self.filter.rows > 0 && self.listing.count.is_multiple_of(self.stride) {
            self.keep_row(seen, peer);
        }
        self.listing.count += 1;
    }

    /// What was counted of a worker whose time is over before it came to all.
    pub fn break_off(self) -> Listing {
        Listing { unfinished_workers: 1, ..self.finish() }
    }

    /// What was counted.
    pub fn finish(self) -> Listing {
        let Self { mut listing, peers, filter, .. } = self;
        listing.by_peer = peers.into_iter().collect();
        keep_top(&mut listing);
        thin(&mut listing.rows, filter.rows as usize);
        listing
    }

    fn count_peer(&mut self, address: Option<IpAddr>) {
        let is_full = self.peers.len() >= MOST_PEERS_COUNTED;
        match address {
            Some(address) if !is_full || self.peers.contains_key(&address) => {
                *self.peers.entry(address).or_default() += 1;
            }
            _ => self.listing.of_other_peers += 1,
        }
    }

    /// Keeps a row. Once there are twice as many as wanted every second one goes, and fewer are kept from then on.
    fn keep_row(&mut self, seen: Seen, peer: Option<SocketAddr>) {
        let Seen { state, idle_s, requests } = seen;
        self.listing.rows.push(Row { pid: self.pid, worker: self.worker, peer, state, idle_s, requests });
        if self.listing.rows.len() >= 2 * self.filter.rows as usize {
            let mut index = 0;
            self.listing.rows.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(idle_s: f64) -> Seen {
        Seen { state: ConnectionState::Parked, idle_s, requests: None }
    }

    fn client(number: u32) -> SocketAddr {
        SocketAddr::from((number.to_be_bytes(), 1))
    }

    #[test]
    fn rows_are_spread_evenly_however_many_connections_there_are() {
        for (seen, wanted) in [(10, 3), (7, 7), (3, 10), (100_000, 100), (1_000, 1)] {
            let mut tally = Tally::new(&Filter { rows: wanted, ..Filter::default() }, 1, 0);
            for number in 0..seen {
                tally.see(parked(f64::from(number)), || Some(client(1)));
            }
            let listing = tally.finish();
            assert_eq!((listing.count, listing.open), (u64::from(seen), u64::from(seen)));
            let expected = wanted.min(seen) as usize;
            assert_eq!(listing.rows.len(), expected, "{wanted} of {seen}");
            let late = listing.rows.iter().filter(|row| row.idle_s >= f64::from(seen) / 2.0).count();
            assert!(
                late.abs_diff(expected / 2) <= expected / 4 + 1,
                "{late} of {expected} are of the later half"
            );
        }
    }

    #[test]
    fn a_filter_sorts_out_and_still_counts_what_is_open() {
        let filter = Filter {
            state: Some(ConnectionState::Parked),
            peer: Some("::ffff:127.0.0.1".parse().unwrap()),
            idle_for_s: Some(10),
            rows: 5,
        };
        let mut tally = Tally::new(&filter, 1, 0);
        let ours = || Some("127.0.0.1:9".parse().unwrap());
        tally.see(parked(10.0), ours);
        tally.see(parked(9.9), ours);
        tally.see(Seen { state: ConnectionState::Idle, ..parked(99.0) }, ours);
        tally.see(parked(99.0), || Some(client(7)));
        tally.see(parked(99.0), || None);
        let listing = tally.finish();
        assert_eq!((listing.count, listing.open, listing.rows.len()), (1, 5, 1));
        assert_eq!(listing.by_peer, [("127.0.0.1".parse().unwrap(), 1)]);
    }

    #[test]
    fn addresses_past_the_bound_are_counted_together() {
        let mut tally = Tally::new(&Filter::default(), 1, 0);
        let many = u32::try_from(MOST_PEERS_COUNTED).unwrap() + 10;
        for number in 0..many {
            tally.see(parked(0.0), || Some(client(number)));
        }
        tally.see(parked(0.0), || Some(client(5)));
        let listing = tally.finish();
        assert_eq!(listing.by_peer[0], (client(5).ip(), 2), "one that was known is still counted apart");
        let apart: u64 = listing.by_peer.iter().map(|(_, count)| count).sum();
        assert_eq!(apart + listing.of_other_peers, u64::from(many) + 1);
    }
}
