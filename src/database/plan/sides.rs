//! The plan on each database: where reads have servers of their own, both sides have the plan's connections.
//!
//! The pools of both sides are of one size. All of the reads' sessions may come to one server, when the others are left out; and a server of
//! the reads that is the primary itself has both. Beside them each process has one session on each server, which watches it.
//!
//! **Invariant:** pure.

use super::super::config::Config;
use super::{Plan, PlanError, Room};

/// Database connections of a process with so many in each of its sides: those that watch included.
pub(crate) fn of_process(connections: u32, reads: Option<&Config>) -> u32 {
    let watched = |reads: &Config| u32::try_from(reads.hosts()).unwrap_or(u32::MAX).saturating_add(1);
    reads.map_or(connections, |reads| connections.saturating_mul(2).saturating_add(watched(reads)))
}

impl Plan {
    /// Refuses at first contact what PostgreSQL would refuse later, one connection at a time.
    pub fn check(&self, room: Room) -> Result<(), PlanError> {
        self.check_sides(room, 1)
    }

    /// The same for a server that is read from; one that is the primary itself has the other side as well.
    pub fn check_replica(&self, room: Room, is_primary: bool) -> Result<(), PlanError> {
        self.check_sides(room, if is_primary { 2 } else { 1 })
    }

    fn check_sides(&self, room: Room, sides: u32) -> Result<(), PlanError> {
        let free = room.free();
        let wanted = |total: u32| total.saturating_add(self.watching()).saturating_mul(sides);
        let overlap = |total: u32| self.overlap_of(total).saturating_mul(sides);
        let fits = |total: &u32| wanted(*total).saturating_add(overlap(*total)) <= free;
        let total = self.connections_total();
        if fits(&total) {
            return Ok(());
        }
        let fitting = (0..=free).rev().find(fits).unwrap_or(0);
        Err(PlanError::TooManyConnections {
            wanted: wanted(total),
            overlap: overlap(total),
            free,
            fitting,
            room,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::PlanInput;
    use super::*;

    fn plan(processes: u32) -> Plan {
        let number = |n| NonZeroU32::new(n).unwrap();
        let (cores, workers, processes) = (number(2), number(2), number(processes));
        let input = PlanInput {
            cores,
            workers,
            processes,
            pool_per_core: 4.0,
            least_per_core: 4.0,
            upper_bound: None,
        };
        Plan::new(input).unwrap()
    }

    fn room(limit: u32) -> Room {
        Room { limit, reserved: 0, taken: 0 }
    }

    #[test]
    fn without_replicas_the_primary_has_the_plan_and_nobody_watches() {
        assert!(plan(1).check(room(8)).is_ok() && plan(1).check(room(7)).is_err());
        assert_eq!(of_process(8, None), 8);
    }

    #[test]
    fn with_replicas_each_server_has_the_plan_and_one_that_watches_for_each_process() {
        for (processes, wanted) in [(1, 8 + 1), (2, 8 + 2 + 4 + 1)] {
            let plan = plan(processes).with_replicas();
            for check in [Plan::check, |plan: &Plan, room| plan.check_replica(room, false)] {
                assert!(check(&plan, room(wanted)).is_ok(), "{processes}");
                assert!(check(&plan, room(wanted - 1)).is_err(), "{processes}: a reload watches as well");
            }
        }
        assert_eq!(of_process(8, Some(&"host=a,b".parse().unwrap())), 8 + 8 + 3);
    }

    #[test]
    fn a_server_that_is_too_small_is_refused_with_what_would_fit() {
        assert!(plan(1).with_replicas().check_replica(room(9), false).is_ok());
        let why = plan(1).with_replicas().check_replica(room(8), false).unwrap_err().to_string();
        assert!(why.contains("wants 9") && why.contains("DATABASE_MAX_CONN=7"), "{why}");
        assert!(plan(1).with_replicas().check_replica(room(18), true).is_ok());
        let why = plan(1).with_replicas().check_replica(room(17), true).unwrap_err().to_string();
        assert!(why.contains("wants 18") && why.contains("DATABASE_MAX_CONN=7"), "{why}");
    }
}
