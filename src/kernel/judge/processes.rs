//! How many processes the connections take under the limit of descriptors that each has.
//!
//! The kernel spreads connections over listeners of one port by a hash (`SO_REUSEPORT`, socket(7)), so that processes get
//! more or less than their share, as dice do: the count of one varies by the square root of the share.
//!
//! **Invariant:** each process has room for its share and five times that root, and for what the service keeps back.

use super::Question;
use crate::kernel::facts::Facts;
use crate::kernel::sysctl::Sysctl;

/// The most processes that `plimsoll serve` starts.
pub const MOST_PROCESSES: u64 = 1024;

/// Standard deviations that a share may be off by; one process in three million is off by more.
const DEVIATIONS: u64 = 5;

/// Descriptors that a process keeps back from its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    /// For itself.
    pub process: u64,
    /// For each of its workers, with listeners and database connections; the cores are divided by the processes.
    pub worker: u64,
}

/// How the connections are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processes {
    /// How many: those given, or as many as it takes; one more than there may be where no number is enough.
    pub count: u64,
    /// Connections in each, on average.
    pub connections_each: u64,
    /// Descriptors of each that are no client's.
    pub reserve_each: u64,
    /// Descriptors that the fullest of them has open.
    pub descriptors_each: u64,
}

impl Processes {
    /// Spreads the question's connections.
    pub fn of(facts: &Facts, question: &Question) -> Self {
        let over = |count| Self::over(count, facts, question);
        if let Some(given) = question.processes {
            return over(given);
        }
        let limit = limit(facts);
        let alone = over(1);
        if alone.descriptors_each <= limit {
            return alone;
        }
        // From two processes on, more of them have less to hold each: the fewest are found by halving.
        let (mut too_few, mut enough) = (1, MOST_PROCESSES + 1);
        while enough - too_few > 1 {
            let middle = too_few.midpoint(enough);
            if over(middle).descriptors_each <= limit {
                enough = middle;
            } else {
                too_few = middle;
            }
        }
        over(enough)
    }

    fn over(count: u64, facts: &Facts, question: &Question) -> Self {
        let count = count.max(1);
        let connections_each = question.connections.div_ceil(count);
        let uneven = if count > 1 { DEVIATIONS * (connections_each.isqrt() + 1) } else { 0 };
        let workers = (u64::from(facts.cores.usable) / count).max(1);
        let reserve_each = question.reserve.process + workers * question.reserve.worker;
        let descriptors_each = connections_each.saturating_add(uneven).saturating_add(reserve_each);
        Self { count, connections_each, reserve_each, descriptors_each }
    }
}

/// Descriptors that one process can open: the hard limit, which `serve` raises its soft one to, and never past `fs.nr_open`.
pub(super) fn limit(facts: &Facts) -> u64 {
    let hard = facts.descriptors.map_or(u64::MAX, |limits| limits.hard);
    let most = facts.sysctls.get(&Sysctl::NrOpen).and_then(|values| values.first().copied());
    hard.min(most.unwrap_or(u64::MAX))
}
