//! Rows of `world`, and what is drawn by chance: ids and numbers.
//!
//! **Invariant:** every id and number from 1 to 10 000 is drawn, and no other.

use rand::RngExt;
use rand::rngs::SmallRng;
use serde::Serialize;

/// Rows of the table, and the highest id and number in it.
pub const ROWS: i32 = 10_000;

/// A row of `world` as the contract wants it on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct World {
    /// 1 to 10 000.
    pub id: i32,
    /// 1 to 10 000.
    #[serde(rename = "randomNumber")]
    pub random_number: i32,
}

/// A random id or number, 1 to 10 000 with both ends.
pub(super) fn random_number(random: &mut SmallRng) -> i32 {
    random.random_range(1..=ROWS)
}

/// `count` distinct random ids in ascending order; `count` must be well below [`ROWS`].
pub(super) fn distinct_ids(random: &mut SmallRng, count: usize) -> Vec<i32> {
    let mut ids: Vec<i32> = Vec::with_capacity(count);
    while ids.len() < count {
        ids.extend((ids.len()..count).map(|_| random_number(random)));
        ids.sort_unstable();
        ids.dedup();
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn both_ends_of_the_range_are_drawn() {
        let mut random = SmallRng::seed_from_u64(1);
        let drawn: std::collections::BTreeSet<i32> =
            (0..200_000).map(|_| random_number(&mut random)).collect();
        assert_eq!(drawn.first(), Some(&1));
        assert_eq!(drawn.last(), Some(&ROWS));
        assert_eq!(drawn.len(), 10_000);
    }

    #[test]
    fn ids_to_update_are_distinct_and_ascending() {
        let mut random = SmallRng::seed_from_u64(2);
        for count in [1, 2, 20, 500] {
            let ids = distinct_ids(&mut random, count);
            assert_eq!(ids.len(), count);
            assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
        }
    }
}
