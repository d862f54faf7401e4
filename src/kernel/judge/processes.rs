//! How many processes the connections take under the limit of descriptors that each has.
//!
//! The kernel spreads connections over listeners of one port by a hash (`SO_REUSEPORT`, socket(7)), so that processes get
//! more or less than their share, as dice do: the count of one varies by the square root of the share.
//!
//! **Invariant:** each process has room for its share and five times that root, and for the reserve.

use super::Question;
use crate::kernel::facts::Facts;
use crate::kernel::sysctl::Sysctl;

/// Descriptors of a process that are no client's: standard streams, listeners, epoll sets, database connections, files.
pub const DESCRIPTOR_RESERVE: u64 = 64;

/// The most processes that `plimsoll serve` starts.
pub const MOST_PROCESSES: u64 = 1024;

/// Standard deviations that a share may be off by; one process in three million is off by more.
const DEVIATIONS: u64 = 5;

/// How the connections are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processes {
    /// How many: those given, or as many as it takes.
    pub count: u64,
    /// Connections in each, on average.
    pub connections_each: u64,
    /// Descriptors that the fullest of them has open.
    pub descriptors_each: u64,
}

impl Processes {
    /// Spreads the question's connections.
    pub fn of(facts: &Facts, question: &Question) -> Self {
        let count = question.processes.unwrap_or_else(|| needed(question.connections, usable(facts)));
        let connections_each = question.connections.div_ceil(count.max(1));
        let uneven = if count > 1 { DEVIATIONS * (connections_each.isqrt() + 1) } else { 0 };
        let descriptors_each = connections_each.saturating_add(uneven).saturating_add(DESCRIPTOR_RESERVE);
        Self { count, connections_each, descriptors_each }
    }
}

/// Descriptors that one process can open: the hard limit, which `serve` raises its soft one to, and never past `fs.nr_open`.
pub(super) fn limit(facts: &Facts) -> u64 {
    let hard = facts.descriptors.map_or(u64::MAX, |limits| limits.hard);
    let most = facts.sysctls.get(&Sysctl::NrOpen).and_then(|values| values.first().copied());
    hard.min(most.unwrap_or(u64::MAX))
}

fn usable(facts: &Facts) -> u64 {
    limit(facts).saturating_sub(DESCRIPTOR_RESERVE)
}

/// The fewest processes with `usable` descriptors each; more than there may be where no number is enough.
fn needed(connections: u64, usable: u64) -> u64 {
    if connections <= usable {
        return 1;
    }
    // The greatest share for which share + 5 × (√share + 1) is still within `usable`.
    let root = (DEVIATIONS * DEVIATIONS + usable.saturating_mul(4)).isqrt().saturating_sub(DEVIATIONS) / 2;
    let share = usable.saturating_sub(DEVIATIONS * (root + 1));
    if share == 0 { MOST_PROCESSES + 1 } else { connections.div_ceil(share).max(2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_processes_as_hold_an_uneven_spread() {
        for (connections, limit, processes) in [
            (10_000, 20_000, 1),
            (19_936, 20_000, 1),
            (19_937, 20_000, 2),
            (1_000_000, 20_000, 52),
            (1_200_000, 20_000, 63),
            (1_000_000, 1024, 1227),
            (1_000_000, 1 << 20, 1),
            (5, 64, MOST_PROCESSES + 1),
        ] {
            let found = needed(connections, limit - DESCRIPTOR_RESERVE);
            assert_eq!(found, processes, "{connections} under {limit}");
        }
    }

    #[test]
    fn every_number_of_processes_that_is_named_fits_under_the_limit() {
        for limit in [100, 1024, 4096, 20_000, 65_536, 1 << 20] {
            for connections in (1..3_000_000).step_by(9_973) {
                let count = needed(connections, limit - DESCRIPTOR_RESERVE);
                let share = connections.div_ceil(count);
                let fullest = if count == 1 { share } else { share + DEVIATIONS * (share.isqrt() + 1) };
                if count <= MOST_PROCESSES {
                    assert!(
                        fullest + DESCRIPTOR_RESERVE <= limit,
                        "{connections} over {count} under {limit}"
                    );
                }
            }
        }
    }
}
