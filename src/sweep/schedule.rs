//! The order of visits: rounds over all points, interleaved, so that what a machine does meanwhile falls on all points alike.
//!
//! **Invariant:** every point is visited once in each round, no visit that the journal holds is made again, and each reading is in
//! the journal before the next visit begins.

use super::grid::Point;
use super::journal::{Journal, JournalError};
use super::summary::Reading;

/// Whoever can measure a point.
pub(crate) trait Measure {
    /// Measures it once.
    fn measure(&mut self, point: &Point) -> Result<Reading, Failure>;
}

/// Why a sweep ends before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Somebody asked for it.
    #[error("interrupted")]
    Stopped,
    /// A part of it failed, and would again.
    #[error("{0}")]
    Failed(String),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// How far a sweep has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Visits that were made, those before a resumption included.
    pub(crate) done: usize,
    /// Visits that were made by this process.
    pub(crate) done_here: usize,
    /// Visits in all.
    pub(crate) all: usize,
    /// The round that runs, from 0.
    pub(crate) round: u32,
}

/// Makes all visits that are missing. `observe` hears of each before it begins, and once more at the end.
pub(crate) fn run(
    points: &[Point],
    rounds: u32,
    journal: &mut Journal,
    measure: &mut impl Measure,
    observe: &mut dyn FnMut(Progress, Option<&Point>),
) -> Result<(), Failure> {
    let all = points.len() * rounds as usize;
    let missing: Vec<(u32, &Point)> = (0..rounds)
        .flat_map(|round| order(points.len(), round).into_iter().map(move |at| (round, &points[at])))
        .filter(|(round, point)| !journal.holds(*round, point))
        .collect();
    let before = all - missing.len();
    for (done_here, (round, point)) in missing.iter().enumerate() {
        observe(Progress { done: before + done_here, done_here, all, round: *round }, Some(point));
        let reading = measure.measure(point)?;
        journal.keep(*round, point, reading)?;
    }
    observe(Progress { done: all, done_here: missing.len(), all, round: rounds }, None);
    Ok(())
}

/// The order of one round: begun at another point each time, and backwards every other time.
fn order(points: usize, round: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points).collect();
    if points > 0 {
        order.rotate_left((round as usize * (points / 3 + 1)) % points);
    }
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sweep::Axis;
    use crate::sweep::grid::{self, tests::course};

    /// Notes what it was asked for, and fails at one visit.
    struct Pretend {
        asked: Vec<Point>,
        fail_at: usize,
    }

    impl Measure for Pretend {
        fn measure(&mut self, point: &Point) -> Result<Reading, Failure> {
            if self.asked.len() == self.fail_at {
                return Err(Failure::Stopped);
            }
            self.asked.push(point.clone());
            Ok(Reading { rate: f64::from(point.size), ..Reading::default() })
        }
    }

    fn pretend(fail_at: usize) -> Pretend {
        Pretend { asked: Vec::new(), fail_at }
    }

    #[test]
    fn every_round_visits_every_point_once_and_begins_elsewhere() {
        for points in [1, 2, 7, 14] {
            for round in 0..6 {
                let mut sorted = order(points, round);
                sorted.sort_unstable();
                assert_eq!(sorted, (0..points).collect::<Vec<_>>());
            }
        }
        let begins: Vec<usize> = (0..4).map(|round| order(14, round)[0]).collect();
        assert_eq!(begins, [0, 4, 10, 0], "the second and fourth backwards");
        assert_ne!(order(14, 1), order(14, 3));
    }

    #[test]
    fn an_interrupted_sweep_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let course = course(Axis::Pool, &[1, 2, 4]);
        let points = grid::points(&course);
        let mut measure = pretend(8);
        let mut journal = Journal::begin(folder.path(), &[]).unwrap();
        let stopped = run(&points, 3, &mut journal, &mut measure, &mut |_, _| {});
        assert!(matches!(stopped, Err(Failure::Stopped)));
        drop(journal);
        let mut journal = Journal::resume(folder.path(), &[]).unwrap();
        assert_eq!(journal.records().len(), 8);
        let mut rest = pretend(usize::MAX);
        let mut seen = Vec::new();
        run(&points, 3, &mut journal, &mut rest, &mut |progress, _| seen.push(progress.done)).unwrap();
        assert_eq!(seen, (8..=18).collect::<Vec<_>>());
        let mut whole = pretend(usize::MAX);
        let other = tempfile::tempdir().unwrap();
        run(&points, 3, &mut Journal::begin(other.path(), &[]).unwrap(), &mut whole, &mut |_, _| {}).unwrap();
        assert_eq!([measure.asked, rest.asked].concat(), whole.asked, "the same visits in the same order");
        assert_eq!(journal.records().len(), 18);
    }
}
