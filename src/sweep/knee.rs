//! The point to stay at: where more brings no more.
//!
//! Among the points of a workload at which no more than 0.1 % of the requests failed: those whose throughput is within 3 % of the best;
//! among those the ones whose p99 is within 5 % of the lowest; of these the smallest, and of two of one size the one that serves more.
//! Where more failed at every point, all count. What counts for the knee counts for the best and for the rule of thumb too.
//!
//! **Invariant:** pure, and the point it names is one of those that were measured.

/// How much of the best throughput is as good as the best.
const AS_GOOD: f64 = 0.97;
/// How far above the lowest p99 is as low.
const AS_LOW: f64 = 1.05;
/// Answers for each failure that is let pass: 0.1 %. One connection that is cut among millions of answers says nothing about a size.
const ANSWERS_A_FAILURE: u64 = 1000;

/// A point as the knee sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    /// Where it lies on the axis.
    pub(crate) size: u32,
    /// Answers with 2xx a second.
    pub(crate) rate: f64,
    /// 99 in a hundred answers took no longer, in microseconds; none where there were none.
    pub(crate) p99_us: Option<f64>,
    /// Whether more requests failed than [`fails_too_often`] lets pass.
    pub(crate) fails: bool,
}

/// Whether so many failures speak against a point: more than one for each thousand answers.
pub(crate) fn fails_too_often(failed: u64, answered: u64) -> bool {
    failed.saturating_mul(ANSWERS_A_FAILURE) > answered
}

/// The indexes of the points that count: those that served and do not fail too often, or all that served where each of them does.
pub(crate) fn counting(candidates: &[Candidate]) -> Vec<usize> {
    let served: Vec<usize> = (0..candidates.len()).filter(|at| candidates[*at].rate > 0.0).collect();
    let sound: Vec<usize> = served.iter().copied().filter(|at| !candidates[*at].fails).collect();
    if sound.is_empty() { served } else { sound }
}

/// The index of the highest throughput among those that count; of two alike the first.
pub(crate) fn best(candidates: &[Candidate]) -> Option<usize> {
    let rate = |at: &usize| candidates[*at].rate;
    counting(candidates).into_iter().reduce(|best, at| if rate(&at) > rate(&best) { at } else { best })
}

/// The index of the knee; none where nothing was served.
pub(crate) fn find(candidates: &[Candidate]) -> Option<usize> {
    let best = candidates[best(candidates)?].rate;
    let served = counting(candidates).into_iter().map(|at| (at, &candidates[at]));
    let good: Vec<_> = served.filter(|(_, one)| one.rate >= AS_GOOD * best).collect();
    let lowest = good.iter().filter_map(|(_, one)| one.p99_us).fold(f64::INFINITY, f64::min);
    let low = good.into_iter().filter(|(_, one)| one.p99_us.is_none_or(|p99| p99 <= AS_LOW * lowest));
    low.min_by(|(_, left), (_, right)| left.size.cmp(&right.size).then(right.rate.total_cmp(&left.rate)))
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knee_of(table: &[(u32, f64, f64)]) -> Option<u32> {
        let candidate = |(size, rate, p99): &(u32, f64, f64)| Candidate {
            size: *size,
            rate: *rate,
            p99_us: Some(*p99),
            fails: false,
        };
        let candidates: Vec<Candidate> = table.iter().map(candidate).collect();
        find(&candidates).map(|at| candidates[at].size)
    }

    #[test]
    fn the_smallest_within_3_per_cent_is_the_knee() {
        assert_eq!(
            knee_of(&[(1, 50.0, 9.0), (2, 80.0, 8.0), (4, 97.5, 7.0), (8, 100.0, 7.0), (16, 99.0, 7.0)]),
            Some(4)
        );
        assert_eq!(knee_of(&[(1, 50.0, 9.0), (2, 80.0, 8.0), (4, 96.5, 7.0), (8, 100.0, 7.0)]), Some(8));
    }

    #[test]
    fn a_lower_p99_wins_over_a_smaller_pool_and_one_that_is_alike_does_not() {
        assert_eq!(knee_of(&[(4, 98.0, 9.0), (8, 100.0, 7.0)]), Some(8));
        assert_eq!(knee_of(&[(4, 98.0, 7.3), (8, 100.0, 7.0)]), Some(4));
        assert_eq!(knee_of(&[(4, 50.0, 1.0), (8, 100.0, 7.0)]), Some(8), "what serves half is no choice");
    }

    #[test]
    fn where_it_falls_again_the_peak_is_found() {
        assert_eq!(knee_of(&[(1, 100.0, 5.0), (2, 99.0, 5.0), (4, 70.0, 6.0)]), Some(1));
        assert_eq!(knee_of(&[]), None);
        assert_eq!(knee_of(&[(1, 0.0, 0.0)]), None, "nothing was served");
    }

    #[test]
    fn one_failure_in_a_thousand_answers_is_let_pass_and_two_are_not() {
        assert!(!fails_too_often(0, 0) && !fails_too_often(1, 1000) && !fails_too_often(1, 4_000_000));
        assert!(fails_too_often(2, 1000) && fails_too_often(1, 0) && fails_too_often(u64::MAX, 1000));
    }

    #[test]
    fn a_point_that_fails_is_neither_best_nor_within_the_best() {
        let one = |size, rate, fails| Candidate { size, rate, p99_us: Some(5.0), fails };
        let points = [one(1, 90.0, false), one(2, 99.0, false), one(4, 200.0, true), one(8, 0.0, true)];
        assert_eq!((counting(&points), best(&points), find(&points)), (vec![0, 1], Some(1), Some(1)));
        assert_eq!(counting(&points[2..]), [0], "where every point fails, those that served count");
        assert_eq!(best(&points[3..]), None);
    }

    #[test]
    fn a_point_with_failures_is_taken_only_where_all_failed() {
        let one = |size, rate, fails| Candidate { size, rate, p99_us: Some(5.0), fails };
        assert_eq!(find(&[one(1, 90.0, false), one(2, 100.0, true)]), Some(0));
        assert_eq!(find(&[one(1, 90.0, true), one(2, 100.0, true)]), Some(1));
        assert_eq!(find(&[Candidate { p99_us: None, ..one(3, 5.0, false) }]), Some(0));
        assert_eq!(find(&[one(4, 99.0, false), one(4, 100.0, false)]), Some(1), "of one size the faster");
    }
}
