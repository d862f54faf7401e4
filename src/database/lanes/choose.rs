//! Which lane a request takes.
//!
//! A request of one query takes the first lane that is not deep: while PostgreSQL keeps up, one lane carries all of them in large
//! batches, which costs it and us the fewest wake-ups; as the wait grows, they spread over the pool. A request of many queries
//! takes the shallowest of the other lanes, so that several server processes work while we wait, and no short request stands
//! behind a long one. docs/decisions/0008 has what else was tried.
//!
//! **Invariant:** pure. A lane past its room is never chosen, and while any open lane is below it, one is.

use std::time::Duration;

/// A lane is deep when it holds more than this much work at the pace of its last answers: L = λW, the other way round.
const DEEP: Duration = Duration::from_millis(8);
/// However slow it is, a lane is not deep with fewer queries than this; where each lane's pace begins.
pub(super) const LEAST_DEEP: u32 = 16;
/// However fast it is, a lane is deep with this many.
const MOST_DEEP: u32 = 256;
/// Queries in flight on the shallowest lane that make requests of many queries ask for another.
const SHALLOW: u32 = 64;
/// With fewer lanes than this the first is for all requests.
const LEAST_TO_KEEP_ONE: u32 = 4;
/// Room on a lane at the most, in queries in flight; past it requests wait their turn. 16 requests of 500.
pub(super) const MOST_IN_FLIGHT: u32 = 8_192;

/// How much an open lane carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// Queries in flight.
    pub(super) in_flight: u32,
    /// From how many on the lane is deep; see [`deep_from`]. No more than its room.
    pub(super) deep_from: u32,
    /// How many there may be; see [`super::room`].
    pub(super) room: u32,
}

/// What to do for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// The lane's index.
    pub(super) lane: Option<usize>,
    /// Whether the request would rather have a lane that is not open yet.
    pub(super) wants_another: bool,
}

/// From how many queries on a lane is deep that answered so many within that time.
pub(super) fn deep_from(answered: u32, within: Duration) -> u32 {
    let share = DEEP.as_secs_f64() / within.as_secs_f64().max(f64::MIN_POSITIVE);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from a float saturates"
    )]
    let queries = (f64::from(answered) * share) as u32;
    queries.clamp(LEAST_DEEP, MOST_DEEP)
}

/// Chooses for a request of `queries` queries among these lanes, of which there may be `most`; a closed one has no load.
pub(super) fn choose(queries: u32, most: u32, lanes: impl Iterator<Item = Option<Load>>) -> Choice {
    let mut keeps_next = queries != 1 && most >= LEAST_TO_KEEP_ONE;
    let mut first = None;
    let mut shallowest: Option<(usize, u32)> = None;
    for (index, load) in lanes.enumerate().filter_map(|(index, load)| Some((index, load?))) {
        if queries == 1 && load.in_flight < load.deep_from {
            return Choice { lane: Some(index), wants_another: false };
        }
        let is_kept = std::mem::take(&mut keeps_next);
        if load.in_flight >= load.room {
            continue;
        }
        if is_kept {
            first = Some(index);
        } else if shallowest.is_none_or(|(_, other)| load.in_flight < other) {
            shallowest = Some((index, load.in_flight));
        }
    }
    let wants_another = queries == 1 || shallowest.is_none_or(|(_, in_flight)| in_flight >= SHALLOW);
    Choice { lane: shallowest.map(|(index, _)| index).or(first), wants_another }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "a closed lane has no load")]
    fn open(in_flight: u32) -> Option<Load> {
        Some(Load { in_flight, deep_from: 100, room: MOST_IN_FLIGHT })
    }

    fn among(queries: u32, most: u32, in_flight: &[u32]) -> (Option<usize>, bool) {
        let choice = choose(queries, most, in_flight.iter().map(|in_flight| open(*in_flight)));
        (choice.lane, choice.wants_another)
    }

    fn choice(queries: u32, in_flight: &[u32]) -> (Option<usize>, bool) {
        among(queries, 4, in_flight)
    }

    #[test]
    fn single_queries_fill_the_lanes_in_order() {
        assert_eq!(choice(1, &[]), (None, true));
        assert_eq!(choice(1, &[99]), (Some(0), false));
        assert_eq!(choice(1, &[99, 0]), (Some(0), false));
        assert_eq!(choice(1, &[100, 0]), (Some(1), false));
        assert_eq!(choice(1, &[100]), (Some(0), true));
        assert_eq!(choice(1, &[130, 110, 140]), (Some(1), true));
    }

    #[test]
    fn a_lane_is_deep_by_what_it_answers() {
        let tick = Duration::from_millis(50);
        assert_eq!(deep_from(1_000, tick), 160, "20 000 a second are 160 in 8 ms");
        assert_eq!(deep_from(100_000, tick), 256, "not more, however fast");
        assert_eq!(deep_from(4, tick), 16, "12 ms a query: 16 for each lane, not 256 behind one another");
        assert_eq!(deep_from(0, tick), 16);
        assert_eq!(deep_from(1, Duration::ZERO), 256);
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
    fn where_lanes_are_few_the_first_is_for_all() {
        assert_eq!(among(20, 3, &[0, 40, 30]), (Some(0), false));
        assert_eq!(among(20, 1, &[0]), (Some(0), false));
        assert_eq!(among(20, 2, &[70]), (Some(0), true));
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
    fn each_lane_takes_what_it_has_room_for() {
        let slow = |in_flight| Some(Load { in_flight, deep_from: 16, room: 20 });
        assert_eq!(choose(20, 4, [open(0), slow(19), open(30)].into_iter()).lane, Some(1));
        assert_eq!(choose(20, 4, [open(0), slow(20), open(30)].into_iter()).lane, Some(2));
        assert_eq!(choose(20, 4, [open(0), slow(20), slow(20)].into_iter()).lane, Some(0));
        let full = Choice { lane: None, wants_another: true };
        assert_eq!(choose(20, 4, [slow(20), slow(20)].into_iter()), full);
        assert_eq!(choose(1, 4, [slow(20), slow(20)].into_iter()), full);
    }

    #[test]
    fn closed_lanes_are_passed_over_and_keep_their_place() {
        assert_eq!(choose(1, 4, [None, open(3)].into_iter()).lane, Some(1));
        assert_eq!(choose(20, 4, [None, open(3), None, open(5)].into_iter()).lane, Some(3));
        assert_eq!(choose(20, 4, [None].into_iter()), Choice { lane: None, wants_another: true });
    }
}
