//! The plan on each database: where reads have servers of their own, both sides have the plan's connections.
//!
//! The pools of both sides are of one size. All of the reads' sessions may come to one server, when the others are left out; and a server of
//! the reads that is the primary itself has both. Beside them each process has one session on each server, which watches it.
//!
//! **Invariant:** pure.

use super::super::config::Config;
use super::{Plan, PlanError, Room};

/// What a service wants of one kind of server at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Who it is: `primary` or `replica`.
    pub who: &'static str,
    /// `connections_total`, and what watches.
    pub connections_total: u32,
    /// What there is besides while a reload replaces a process.
    pub overlap: u32,
}

/// What one service with this plan wants of the primary, and of each replica where there are any.
pub fn sides(plan: &Plan) -> Vec<Wanted> {
    let has_replicas = plan.watching() > 0;
    let wanted = |who| wanted(plan, who);
    let replicas = has_replicas.then(|| wanted("replica"));
    std::iter::once(wanted("primary")).chain(replicas).collect()
}

fn wanted(plan: &Plan, who: &'static str) -> Wanted {
    Wanted {
        who,
        connections_total: plan.connections_total().saturating_add(plan.watching()),
        overlap: plan.overlap() + u32::from(plan.overlap() > 0 && plan.watching() > 0),
    }
}

/// Database connections of a process with so many in each of its sides: those that watch included.
pub(crate) fn of_process(connections: u32, reads: Option<&Config>) -> u32 {
    let watched = |reads: &Config| u32::try_from(reads.hosts()).unwrap_or(u32::MAX).saturating_add(1);
    reads.map_or(connections, |reads| connections.saturating_mul(2).saturating_add(watched(reads)))
}

impl Plan {
    /// Refuses at first contact what a replica would refuse later; one that is the primary itself has the other side as well.
    pub fn check_replica(&self, room: Room, is_primary: bool) -> Result<(), PlanError> {
        let replica = wanted(self, "replica");
        let times = if is_primary { 2 } else { 1 };
        let (wanted, overlap) =
            (replica.connections_total.saturating_mul(times), replica.overlap.saturating_mul(times));
        if wanted.saturating_add(overlap) <= room.free() {
            return Ok(());
        }
        // Half of what is left on a server that has both sides, less what watches.
        let share = room.free() / times;
        let extra = self.watching().saturating_add(replica.overlap);
        Err(PlanError::TooManyConnections {
            wanted,
            overlap,
            free: room.free(),
            fitting: share.saturating_sub(extra),
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
        assert_eq!(sides(&plan(1)), [Wanted { who: "primary", connections_total: 8, overlap: 0 }]);
        assert_eq!(of_process(8, None), 8);
    }

    #[test]
    fn with_replicas_each_server_has_the_plan_and_one_that_watches_for_each_process() {
        let wanted = |who, connections_total, overlap| Wanted { who, connections_total, overlap };
        assert_eq!(sides(&plan(1).with_replicas()), [wanted("primary", 9, 0), wanted("replica", 9, 0)]);
        assert_eq!(sides(&plan(2).with_replicas()), [wanted("primary", 10, 5), wanted("replica", 10, 5)]);
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
