//! Which lane a request takes.
//!
//! A request of one query takes the first lane that is not yet [`DEPTH`] deep: while PostgreSQL keeps up, one lane carries all
//! of them in deep batches, which costs it and us the fewest wake-ups; as the wait grows, they spread over the pool. A request
//! of many queries takes the shallowest of the other lanes, so that several server processes work while we wait, and no short
//! request stands behind a long one. docs/decisions/0008 has what else was tried.
//!
//! **Invariant:** pure. A lane past [`MOST_IN_FLIGHT`] is never chosen, and while any open lane is below it, one is.

/// Queries in flight on a lane before requests of one query use the next.
const DEPTH: u32 = 256;
/// Queries in flight on the shallowest lane that make requests of many queries ask for another.
const SHALLOW: u32 = 64;
/// Queries in flight on a lane at the most; past it requests wait their turn. 16 requests of 500.
pub(super) const MOST_IN_FLIGHT: u32 = 8_192;

/// What to do for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// The lane's index.
    pub(super) lane: Option<usize>,
    /// Whether the request would rather have a lane that is not open yet.
    pub(super) wants_another: bool,
}

/// Chooses for a request of `queries` queries among lanes of these depths; a closed lane has none.
pub(super) fn choose(queries: u32, depths: impl Iterator<Item = Option<u32>>) -> Choice {
    let mut first = None;
    let mut shallowest: Option<(usize, u32)> = None;
    for (index, depth) in depths.enumerate().filter_map(|(index, depth)| Some((index, depth?))) {
        if queries == 1 && depth < DEPTH {
            return Choice { lane: Some(index), wants_another: false };
        }
        if queries != 1 && first.is_none() {
            first = Some((index, depth));
        } else if shallowest.is_none_or(|(_, other)| depth < other) {
            shallowest = Some((index, depth));
        }
    }
    let wants_another = queries == 1 || shallowest.is_none_or(|(_, depth)| depth >= SHALLOW);
    let has_room = |lane: &(usize, u32)| lane.1 < MOST_IN_FLIGHT;
    let lane = shallowest.filter(has_room).or(first.filter(has_room)).map(|(index, _)| index);
    Choice { lane, wants_another }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(queries: u32, depths: &[u32]) -> (Option<usize>, bool) {
        let choice = choose(queries, depths.iter().copied().map(Some));
        (choice.lane, choice.wants_another)
    }

    #[test]
    fn single_queries_fill_the_lanes_in_order() {
        assert_eq!(choice(1, &[]), (None, true));
        assert_eq!(choice(1, &[255]), (Some(0), false));
        assert_eq!(choice(1, &[255, 0]), (Some(0), false));
        assert_eq!(choice(1, &[256, 0]), (Some(1), false));
        assert_eq!(choice(1, &[256]), (Some(0), true));
        assert_eq!(choice(1, &[300, 256, 400]), (Some(1), true));
    }

    #[test]
    fn many_queries_take_the_shallowest_lane_but_the_first() {
        assert_eq!(choice(20, &[]), (None, true));
        assert_eq!(choice(20, &[0]), (Some(0), true), "what is open serves until another is");
        assert_eq!(choice(20, &[0, 40]), (Some(1), false));
        assert_eq!(choice(20, &[0, 80, 60, 70]), (Some(2), false));
        assert_eq!(choice(20, &[0, 64]), (Some(1), true));
    }

    #[test]
    fn a_full_lane_takes_nothing_and_any_other_does() {
        let full = MOST_IN_FLIGHT;
        assert_eq!(choice(1, &[full, full]), (None, true));
        assert_eq!(choice(1, &[full, full - 1]), (Some(1), true));
        assert_eq!(choice(20, &[full, full]), (None, true));
        assert_eq!(choice(20, &[full - 1, full]), (Some(0), true), "the first too, when the others are full");
    }

    #[test]
    fn closed_lanes_are_passed_over_and_keep_their_place() {
        assert_eq!(choose(1, [None, Some(3)].into_iter()).lane, Some(1));
        assert_eq!(choose(20, [None, Some(3), None, Some(5)].into_iter()).lane, Some(3));
        assert_eq!(choose(20, [None].into_iter()), Choice { lane: None, wants_another: true });
    }
}
