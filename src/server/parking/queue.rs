//! Parked connections in the order in which their idle time ends.
//!
//! Two lists through one slab: connections that have sent nothing yet have been idle since they came, those that were served since
//! some time before they came here. Each list is in order by itself, so that joining, leaving and looking at the first cost the same
//! however many wait.
//!
//! **Invariant:** a key stands for one connection from [`Queue::push`] to [`Queue::remove`], and is in one list meanwhile.

use slab::Slab;

use super::super::admission::BareConnection;

/// A connection's index; half the size of a pointer.
pub(super) type Key = u32;

/// No connection.
const NONE: Key = Key::MAX;

/// What a parked connection has behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Kind {
    /// Accepted, and silent so far.
    New,
    /// Served at least once.
    Served,
}

/// One parked connection: 32 bytes.
#[derive(Debug)]
struct Spot<T> {
    connection: T,
    /// Since when it is idle.
    since: u32,
    before: Key,
    behind: Key,
    kind: Kind,
}

/// The ends of a list.
#[derive(Debug, Clone, Copy)]
struct Ends {
    first: Key,
    last: Key,
}

/// The two lists.
#[derive(Debug)]
pub(super) struct Queue<T = BareConnection> {
    spots: Slab<Spot<T>>,
    lists: [Ends; 2],
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { spots: Slab::new(), lists: [Ends { first: NONE, last: NONE }; 2] }
    }
}

impl<T> Queue<T> {
    /// Puts a connection at the end of its list.
    pub(super) fn push(&mut self, connection: T, kind: Kind, since: u32) -> Result<Key, T> {
        let Ok(key) = Key::try_from(self.spots.vacant_key()) else { return Err(connection) };
        if key == NONE {
            return Err(connection);
        }
        let ends = &mut self.lists[kind as usize];
        let before = std::mem::replace(&mut ends.last, key);
        if before == NONE {
            ends.first = key;
        } else {
            self.spots[before as usize].behind = key;
        }
        self.spots.insert(Spot { connection, since, before, behind: NONE, kind });
        Ok(key)
    }

    /// The connection behind a key.
    pub(super) fn get(&self, key: Key) -> Option<&T> {
        self.spots.get(key as usize).map(|spot| &spot.connection)
    }

    /// Takes a connection out of its list, wherever it stands.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let Spot { connection, before, behind, kind, .. } = self.spots.try_remove(key as usize)?;
        let ends = &mut self.lists[kind as usize];
        match before {
            NONE => ends.first = behind,
            before => self.spots[before as usize].behind = behind,
        }
        match behind {
            NONE => ends.last = before,
            behind => self.spots[behind as usize].before = before,
        }
        Some(connection)
    }

    /// The connection that has been idle for longest, and since when.
    pub(super) fn longest_idle(&self) -> Option<(Key, u32)> {
        let firsts = self
            .lists
            .iter()
            .filter_map(|ends| Some((ends.first, self.spots.get(ends.first as usize)?.since)));
        firsts.min_by_key(|(_, since)| *since)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.spots.len()
    }

    /// Goes through those with these keys, each with its kind and since when it is idle; says whether there may be more behind them.
    pub(super) fn look(&self, keys: std::ops::Range<usize>, mut see: impl FnMut(&T, Kind, u32)) -> bool {
        let end = keys.end;
        for spot in keys.filter_map(|key| self.spots.get(key)) {
            see(&spot.connection, spot.kind, spot.since);
        }
        end < self.spots.capacity()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(entries: &[(Kind, u32)]) -> (Queue<u32>, Vec<Key>) {
        let mut queue = Queue::default();
        let keys = entries.iter().map(|(kind, since)| queue.push(*since, *kind, *since).unwrap()).collect();
        (queue, keys)
    }

    fn drain(mut queue: Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| {
            let (key, _) = queue.longest_idle()?;
            queue.remove(key)
        })
        .collect()
    }

    #[test]
    fn the_longest_idle_comes_first_whichever_list_it_is_in() {
        use Kind::{New, Served};
        let (queue, _) = queue(&[(New, 10), (Served, 3), (New, 11), (Served, 12), (Served, 13)]);
        assert_eq!(drain(queue), [3, 10, 11, 12, 13]);
    }

    #[test]
    fn any_one_can_leave_and_the_rest_keep_their_order() {
        for leaver in 0..4 {
            let (mut queue, keys) = queue(&[(Kind::New, 0), (Kind::New, 1), (Kind::New, 2), (Kind::New, 3)]);
            assert_eq!(queue.remove(keys[leaver]), Some(u32::try_from(leaver).unwrap()));
            assert_eq!(queue.remove(keys[leaver]), None, "it left once");
            let key = queue.push(4, Kind::New, 4).unwrap();
            assert_eq!(queue.get(key), Some(&4));
            let left: Vec<u32> = (0..5).filter(|number| *number as usize != leaver).collect();
            assert_eq!(drain(queue), left);
        }
    }

    #[test]
    fn an_empty_queue_has_no_first() {
        let (queue, _) = queue(&[]);
        assert!(queue.is_empty() && queue.longest_idle().is_none());
    }

    #[test]
    fn a_parked_connection_takes_32_bytes() {
        assert_eq!(size_of::<Spot<BareConnection>>(), 32);
    }
}
