//! Which connections there are: counted by peer, state and age, with a sample of them, for a filter.
//!
//! **Invariant:** an answer stays small however many connections there are: peers past [`MOST_PEERS`] are counted together, and no
//! more rows than asked for are carried.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::by::By;
use super::labels::{Age, ConnectionState};

mod tally;

pub use tally::{Seen, Tally};

/// Peers that are counted apart in an answer.
pub const MOST_PEERS: usize = 100;
/// The most rows that may be asked for.
pub const MOST_ROWS: u32 = 10_000;

/// Which connections are asked for; a field that is not set does not sort any out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// In this state.
    pub state: Option<ConnectionState>,
    /// Of this address.
    pub peer: Option<IpAddr>,
    /// That nothing has come on for so many seconds.
    pub idle_for_s: Option<u64>,
    /// How many rows to show; a sample spread evenly over those that fit.
    pub rows: u32,
}

/// The connections that fit a filter, of one worker or of all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// How many fit.
    pub count: u64,
    /// How many there are.
    pub open: u64,
    /// How many fit, by their state.
    pub by_state: By<ConnectionState, u64>,
    /// How many fit, by the time since anything came.
    pub by_age: By<Age, u64>,
    /// The peers that have most, with how many.
    pub by_peer: Vec<(IpAddr, u64)>,
    /// Those of other peers.
    pub of_other_peers: u64,
    /// A sample.
    pub rows: Vec<Row>,
    /// Workers that have not answered in time, and are not in the sums.
    pub silent_workers: u32,
    /// Workers that could not count all of theirs in time, and of which a part is in the sums.
    #[serde(default)]
    pub unfinished_workers: u32,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The process that has it.
    pub pid: u32,
    /// The worker in it.
    pub worker: u32,
    /// Its client, where the kernel still knows.
    pub peer: Option<SocketAddr>,
    /// What it is doing.
    pub state: ConnectionState,
    /// Seconds since anything came.
    pub idle_s: f64,
    /// Requests answered since it was last woken, where it is served.
    pub requests: Option<u32>,
}

impl Listing {
    /// Takes another worker's in, and keeps `most_rows` rows of both, each side as many as fits its share of the count.
    ///
    /// Peers that were not among the first of either side stay counted with the others.
    pub fn add(&mut self, mut other: Self, most_rows: u32) {
        let most_rows = most_rows.min(MOST_ROWS) as usize;
        let (ours, theirs) = share_out(most_rows, self, &other);
        thin(&mut self.rows, ours);
        thin(&mut other.rows, theirs);
        self.rows.append(&mut other.rows);
        self.count += other.count;
        self.open += other.open;
        self.of_other_peers += other.of_other_peers;
        self.silent_workers += other.silent_workers;
        self.unfinished_workers += other.unfinished_workers;
        for (ours, theirs) in self.by_state.values_mut().zip(other.by_state.values()) {
            *ours += theirs;
        }
        for (ours, theirs) in self.by_age.values_mut().zip(other.by_age.values()) {
            *ours += theirs;
        }
        let mut peers: BTreeMap<IpAddr, u64> = self.by_peer.drain(..).collect();
        for (peer, count) in other.by_peer {
            *peers.entry(peer).or_default() += count;
        }
        self.by_peer = peers.into_iter().collect();
        keep_top(self);
    }
}

/// How many rows each side may keep: by its count, and what one side cannot fill goes to the other.
fn share_out(most: usize, ours: &Listing, theirs: &Listing) -> (usize, usize) {
    let count = (ours.count + theirs.count).max(1);
    let share = usize::try_from((most as u64 * ours.count).div_ceil(count)).unwrap_or(most);
    let share = share.min(ours.rows.len()).max(most.saturating_sub(theirs.rows.len()));
    (share, most - share.min(ours.rows.len()))
}

/// Sorts the peers by their number, and counts those past [`MOST_PEERS`] together.
fn keep_top(listing: &mut Listing) {
    listing.by_peer.sort_unstable_by_key(|(peer, count)| (Reverse(*count), *peer));
    let past = listing.by_peer.split_off(listing.by_peer.len().min(MOST_PEERS));
    listing.of_other_peers += past.iter().map(|(_, count)| count).sum::<u64>();
}

/// Leaves so many rows, spread evenly over those that there are.
fn thin(rows: &mut Vec<Row>, leave: usize) {
    let there = rows.len();
    if leave >= there {
        return;
    }
    let mut index = 0;
    rows.retain(|_| {
        // The rows at which the running share steps up, of which there are exactly `leave`.
        let stays = (index + 1) * leave / there > index * leave / there;
        index += 1;
        stays
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(worker: u32, connections: u32, rows: u32) -> Listing {
        let mut tally = Tally::new(&Filter { rows, ..Filter::default() }, 1, worker);
        for number in 0..connections {
            let seen =
                Seen { state: ConnectionState::Idle, idle_s: f64::from(number), requests: Some(number) };
            tally.see(seen, || Some(SocketAddr::from(([10, 0, 0, u8::try_from(number % 4).unwrap()], 1))));
        }
        tally.finish()
    }

    #[test]
    fn sums_and_peers_of_workers_add_up() {
        let mut both = listing(0, 8, 0);
        both.add(listing(1, 5, 0), 0);
        both.add(Listing { silent_workers: 1, unfinished_workers: 2, ..Listing::default() }, 0);
        assert_eq!((both.count, both.open), (13, 13));
        assert_eq!((both.silent_workers, both.unfinished_workers), (1, 2));
        assert_eq!(both.by_state[ConnectionState::Idle], 13);
        assert_eq!(both.by_age[Age::Second] + both.by_age[Age::TenSeconds], 13);
        let first = "10.0.0.0".parse::<IpAddr>().unwrap();
        assert_eq!(both.by_peer.first(), Some(&(first, 4)), "{:?}", both.by_peer);
    }

    #[test]
    fn rows_of_both_sides_are_kept_by_their_share() {
        let of_each =
            |listing: &Listing, worker| listing.rows.iter().filter(|row| row.worker == worker).count();
        for (first, second, most, kept) in [
            (900, 100, 10, (9, 1)),
            (0, 100, 10, (0, 10)),
            (100, 0, 10, (10, 0)),
            (3, 4, 10, (3, 4)),
            (50, 50, 10, (5, 5)),
        ] {
            let mut both = listing(0, first, most);
            both.add(listing(1, second, most), most);
            assert_eq!((of_each(&both, 0), of_each(&both, 1)), kept, "{first} and {second}");
        }
    }

    #[test]
    fn peers_past_the_bound_are_counted_with_the_others() {
        let peer = |number: u32| IpAddr::from(number.to_be_bytes());
        let side = |from: u32| Listing {
            by_peer: (from..from + 100).map(|number| (peer(number), u64::from(number))).collect(),
            ..Listing::default()
        };
        let mut both = side(1);
        both.add(side(51), 0);
        assert_eq!(both.by_peer.len(), MOST_PEERS);
        assert_eq!(both.by_peer[0], (peer(100), 200), "those of both sides have most");
        let all: u64 = (1..=100).sum::<u64>() + (51..=150).sum::<u64>();
        assert_eq!(both.by_peer.iter().map(|(_, count)| count).sum::<u64>() + both.of_other_peers, all);
    }
}
