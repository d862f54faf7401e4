//! The cache of `/cached-queries`: reads through, evicts, and is one worker's own.
//!
//! **Invariant:** nothing refreshes it in the background; a row enters when a request needed it.

use quick_cache::unsync::Cache;

use super::world::{ROWS, World};

/// Rows the cache holds. The library's capacity is approximate and split into a hot and a cold part; a quarter above the
/// table keeps all of it without evictions, and a table that grew past it is evicted from.
const CAPACITY: usize = ROWS as usize + ROWS as usize / 4;

/// Rows of `world` by id.
pub(super) struct WorldCache(Cache<i32, i32>);

impl WorldCache {
    pub(super) fn new() -> Self {
        Self(Cache::new(CAPACITY))
    }

    /// The rows with these ids that are in the cache, and the ids of those that are not.
    pub(super) fn look_up(&self, ids: &[i32]) -> (Vec<World>, Vec<i32>) {
        let (mut found, mut missing) = (Vec::with_capacity(ids.len()), Vec::new());
        for id in ids {
            match self.0.get(id) {
                Some(number) => found.push(World { id: *id, random_number: *number }),
                None => missing.push(*id),
            }
        }
        (found, missing)
    }

    /// Keeps rows that were just read.
    pub(super) fn keep(&mut self, worlds: &[World]) {
        for world in worlds {
            self.0.insert(world.id, world.random_number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i32) -> World {
        World { id, random_number: id + 1 }
    }

    #[test]
    fn the_whole_table_fits() {
        let mut cache = WorldCache::new();
        let ids: Vec<i32> = (1..=ROWS).collect();
        cache.keep(&ids.iter().copied().map(row).collect::<Vec<_>>());
        let (found, missing) = cache.look_up(&ids);
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(found[9_999], row(10_000));
    }

    #[test]
    fn past_its_capacity_it_evicts() {
        let mut cache = WorldCache::new();
        for id in 1..=100_000 {
            cache.keep(&[row(id)]);
        }
        assert!(cache.0.len() <= CAPACITY, "{} rows are kept", cache.0.len());
    }
}
