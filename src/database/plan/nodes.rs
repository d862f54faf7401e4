//! What several nodes, each with a plan of its own, come to at one database.
//!
//! **Invariant:** what is taken now counts for nothing: the nodes that run already are among those that are asked about.

use super::{Plan, Room};

/// Sessions of each node that neither serve nor watch: the one by which `/readyz` asks where none is open, which is there for moments.
const ASKING: u32 = 1;

/// What a database is to the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uses {
    /// It takes the writes, and what is read where there is nothing else to read from; or may come to, after a failover.
    pub writes: bool,
    /// It is read from.
    pub reads: bool,
}

/// What one node opens at one database at the most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    plan: Plan,
    sides: u32,
}

/// All nodes together, against what a database allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sum {
    demand: Demand,
    nodes: u32,
    room: Room,
}

impl Demand {
    /// That of a node with this plan. Each side of it, the writes' and the reads', has the plan's connections and the sessions that watch
    /// ([`super::sides`]).
    pub fn of(plan: Plan, uses: Uses) -> Self {
        Self { plan, sides: u32::from(uses.writes) + u32::from(uses.reads) }
    }

    /// `connections_total` of each side.
    pub fn connections(self) -> u32 {
        self.plan.connections_total().saturating_mul(self.sides)
    }

    /// What each has besides while a reload replaces one of its processes.
    pub fn overlap(self) -> u32 {
        self.plan.overlap().saturating_mul(self.sides)
    }

    /// What each has besides its pools: what watches servers, and what asks whether there is one.
    pub fn beside(self) -> u32 {
        self.plan.watching().saturating_mul(self.sides).saturating_add(ASKING)
    }

    /// The most that one has at any moment.
    pub fn each(self) -> u32 {
        self.connections().saturating_add(self.overlap()).saturating_add(self.beside())
    }

    /// The same node with another total.
    fn with_total(self, total: u32) -> Option<Self> {
        Some(Self { plan: self.plan.with_total(total, None).ok()?, ..self })
    }
}

impl Sum {
    /// So many nodes at a database that said this of itself.
    pub fn new(demand: Demand, nodes: u32, room: Room) -> Self {
        Self { demand, nodes, room }
    }

    /// What one node opens there.
    pub fn demand(self) -> Demand {
        self.demand
    }

    /// What they open in all.
    pub fn wanted(self) -> u32 {
        self.demand.each().saturating_mul(self.nodes)
    }

    /// What may be opened: what is allowed, less what is kept back.
    pub fn usable(self) -> u32 {
        self.room.limit.saturating_sub(self.room.reserved)
    }

    /// What the database said.
    pub fn room(self) -> Room {
        self.room
    }

    /// Whether there is room for all of them.
    pub fn fits(self) -> bool {
        self.wanted() <= self.usable()
    }

    /// The `max_connections` that would do.
    pub fn enough(self) -> u32 {
        self.wanted().saturating_add(self.room.reserved)
    }

    /// The largest `DATABASE_MAX_CONN` of each node that would do; none where its workers would not have one each.
    pub fn bound(self) -> Option<u32> {
        let each = self.usable() / self.nodes.max(1);
        let fits = |total: &u32| self.demand.with_total(*total).is_some_and(|demand| demand.each() <= each);
        (1..=each.min(self.demand.plan.connections_total())).rev().find(fits)
    }

    /// How many such nodes there is room for.
    pub fn nodes_that_fit(self) -> u32 {
        self.usable() / self.demand.each()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::PlanInput;
    use super::*;

    const WRITES: Uses = Uses { writes: true, reads: false };
    const BOTH: Uses = Uses { writes: true, reads: true };

    fn plan(processes: u32) -> Plan {
        let number = |n| NonZeroU32::new(n).unwrap();
        let input = PlanInput {
            cores: number(4),
            workers: number(4),
            processes: number(processes),
            pool_per_core: 4.0,
            least_per_core: 4.0,
            upper_bound: None,
        };
        Plan::new(input).unwrap()
    }

    fn sum(nodes: u32, processes: u32, limit: u32) -> Sum {
        Sum::new(Demand::of(plan(processes), WRITES), nodes, Room { limit, reserved: 3, taken: 50 })
    }

    #[test]
    fn nodes_want_their_plans_a_reloads_overlap_and_a_session_each() {
        assert_eq!(sum(3, 1, 100).wanted(), 3 * (16 + 1));
        assert_eq!(sum(3, 2, 100).wanted(), 3 * (16 + 8 + 1), "one of two processes is replaced at a time");
        assert_eq!(sum(u32::MAX, 2, 100).wanted(), u32::MAX, "and not a small number again");
    }

    #[test]
    fn with_replicas_each_side_has_the_plan_and_what_watches() {
        let each = |processes, uses| Demand::of(plan(processes).with_replicas(), uses).each();
        assert_eq!(each(1, WRITES), 16 + 1 + 1);
        assert_eq!(each(1, Uses { writes: false, reads: true }), 16 + 1 + 1);
        assert_eq!(each(1, BOTH), 2 * (16 + 1) + 1);
        assert_eq!(each(2, BOTH), 2 * (16 + 2 + 8 + 1) + 1);
    }

    #[test]
    fn a_sum_at_the_limit_fits_and_one_past_it_does_not() {
        for (limit, fits) in [(54, true), (53, false)] {
            assert_eq!(sum(3, 1, limit).fits(), fits, "{limit}: 51 and 3 that are reserved");
        }
        assert_eq!(sum(3, 1, 10).enough(), 54);
        assert_eq!(sum(3, 1, 53).nodes_that_fit(), 2);
    }

    #[test]
    fn the_bound_that_is_named_is_the_largest_that_fits() {
        let both = Demand::of(plan(2).with_replicas(), BOTH);
        let room = Room { limit: 100, reserved: 3, taken: 0 };
        for short in [sum(3, 1, 53), sum(3, 2, 53), sum(7, 4, 100), sum(2, 2, 30), Sum::new(both, 3, room)] {
            let bound = short.bound().unwrap();
            let with = |bound| Sum { demand: short.demand.with_total(bound).unwrap(), ..short };
            assert!(with(bound).fits() && !with(bound + 1).fits(), "{short:?}: {bound}");
        }
        assert_eq!(sum(20, 1, 53).bound(), None, "two connections for four workers");
    }
}
