//! The plan of database connections: how many in all, how many for each worker, and whether PostgreSQL has room.
//!
//! `connections_total = max(workers, round(pool_per_core × cores))`, cut by `DATABASE_MAX_CONN`. The multiplier stands for
//! the wait: a core that works for 1 ms while PostgreSQL and the wire take 3 ms is kept busy by 1 + 3/1 = 4 requests in
//! flight (Little's law), which is where "3 to 6 times the cores when a database is involved" comes from.
//!
//! **Invariant:** pure. No clock, no socket, no environment: the same input gives the same plan.

use std::num::NonZeroU32;

mod error;
mod nodes;
pub mod sides;

pub use error::{PlanError, Room};
pub use nodes::{Demand, Sum, Uses};

/// The multipliers that suit work that waits on a database.
const SUITABLE: std::ops::RangeInclusive<f64> = 3.0..=6.0;

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput {
    /// Cores that this process may use.
    pub cores: NonZeroU32,
    /// Workers over all processes.
    pub workers: NonZeroU32,
    /// The processes that these workers are spread over, evenly.
    pub processes: NonZeroU32,
    /// Database connections for each core; the most of them where how many serve best is to be found.
    pub pool_per_core: f64,
    /// The fewest of them; the same where nothing is to be found.
    pub least_per_core: f64,
    /// `DATABASE_MAX_CONN`.
    pub upper_bound: Option<u32>,
}

/// How many database connections there will be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    cores: NonZeroU32,
    workers: NonZeroU32,
    processes: NonZeroU32,
    pool_per_core: f64,
    least_per_core: f64,
    connections_total: u32,
    connections_least: u32,
    /// Sessions that watch each server, beside those.
    watching: u32,
    reason: Reason,
}

/// How many database connections a worker may have. Where the two differ, what serves most is found between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    /// At the least.
    pub least: u32,
    /// At the most: its share of the plan.
    pub most: u32,
}

impl PoolSize {
    /// The part of both totals of the worker with this index.
    pub(crate) fn share(least: u32, most: u32, workers: NonZeroU32, worker: u32) -> Self {
        let most = share(most, workers, worker);
        Self { least: share(least, workers, worker).min(most), most }
    }

    /// The size to begin with: the default of 4 for each core, where the bounds are 3 and 6.
    pub(super) fn first(self) -> u32 {
        self.least + self.most.saturating_sub(self.least) / 3
    }
}

/// What decided the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Multiplied,
    OneForEachWorker,
    UpperBound,
}

/// The part of `total` of the worker with this index, from 0, among so many; the first ones carry what does not divide evenly.
pub fn share(total: u32, workers: NonZeroU32, worker: u32) -> u32 {
    total / workers + u32::from(worker < total % workers)
}

impl Plan {
    /// Works the total out.
    pub fn new(input: PlanInput) -> Result<Self, PlanError> {
        let PlanInput { cores, workers, processes, pool_per_core, least_per_core, upper_bound } = input;
        // Bounded by the settings' ranges (1000 × cores), so that the cast keeps every value; NaN cannot come here.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range by the settings' checks"
        )]
        let times_cores = |per_core: f64| (per_core * f64::from(cores.get())).round() as u32;
        let (mut connections_total, mut reason) = (times_cores(pool_per_core), Reason::Multiplied);
        if connections_total < workers.get() {
            (connections_total, reason) = (workers.get(), Reason::OneForEachWorker);
        }
        if let Some(bound) = upper_bound {
            if bound < workers.get() {
                return Err(PlanError::FewerThanWorkers { upper_bound: bound, workers });
            }
            if bound < connections_total {
                (connections_total, reason) = (bound, Reason::UpperBound);
            }
        }
        let connections_least = times_cores(least_per_core).clamp(workers.get(), connections_total);
        Ok(Self {
            cores,
            workers,
            processes,
            pool_per_core,
            least_per_core,
            connections_total,
            connections_least,
            watching: 0,
            reason,
        })
    }

    /// The same service with another number for each core, which is fixed.
    pub fn with_per_core(&self, per_core: f64, upper_bound: Option<u32>) -> Result<Self, PlanError> {
        let Self { cores, workers, processes, .. } = *self;
        let (pool_per_core, least_per_core) = (per_core, per_core);
        let input = PlanInput { cores, workers, processes, pool_per_core, least_per_core, upper_bound };
        Self::new(input).map(|plan| Self { watching: self.watching, ..plan })
    }

    /// The same service with so many over all workers.
    pub fn with_total(&self, total: u32, upper_bound: Option<u32>) -> Result<Self, PlanError> {
        if total < self.workers.get() {
            return Err(PlanError::TotalBelowWorkers { total, workers: self.workers });
        }
        self.with_per_core(f64::from(total) / f64::from(self.cores.get()), upper_bound)
    }

    /// Database connections over all workers.
    pub fn connections_total(&self) -> u32 {
        self.connections_total
    }

    /// The fewest database connections over all workers; as many as the most, where nothing is to be found.
    pub fn connections_least(&self) -> u32 {
        self.connections_least
    }

    /// How many the worker with this index, over all processes, may have.
    pub fn size(&self, worker: u32) -> PoolSize {
        PoolSize::share(self.connections_least, self.connections_total, self.workers, worker)
    }

    /// The same service with replicas, where each process has a session on each server that watches it.
    #[must_use]
    pub fn with_replicas(self) -> Self {
        Self { watching: self.processes.get(), ..self }
    }

    /// Sessions that watch each server; none where there are no replicas.
    pub fn watching(&self) -> u32 {
        self.watching
    }

    /// The most that the worker with this index may have.
    fn share(&self, worker: u32) -> u32 {
        share(self.connections_total, self.workers, worker)
    }

    /// Connections that there are besides on a server while a reload replaces a process: those of the largest one, which is the first,
    /// and the one by which it watches where there are replicas.
    pub fn overlap(&self) -> u32 {
        self.overlap_of(self.connections_total)
    }

    fn overlap_of(&self, total: u32) -> u32 {
        let watches = u32::from(self.watching > 0);
        if self.processes.get() == 1 { 0 } else { self.largest_of(total).saturating_add(watches) }
    }

    /// Connections of the process that has most.
    pub fn connections_of_largest_process(&self) -> u32 {
        self.largest_of(self.connections_total)
    }

    fn largest_of(&self, total: u32) -> u32 {
        (0..self.workers.get() / self.processes).map(|worker| share(total, self.workers, worker)).sum()
    }

    /// The sum as the banner shows it.
    pub fn sum(&self) -> String {
        let Self { cores, workers, pool_per_core, connections_total, .. } = self;
        let connections = if *connections_total == 1 { "connection" } else { "connections" };
        // Of a total that does not divide by the cores.
        let pool_per_core = (pool_per_core * 100.0).round() / 100.0;
        let per_core = if self.is_automatic() {
            format!("{} to {pool_per_core}", self.least_per_core)
        } else {
            pool_per_core.to_string()
        };
        let product =
            format!("{per_core} per core × {cores} {}", if cores.get() == 1 { "core" } else { "cores" });
        let why = match self.reason {
            Reason::Multiplied => format!("= {product}"),
            Reason::OneForEachWorker => format!("= one for each of {workers} workers, more than {product}"),
            Reason::UpperBound => format!("= DATABASE_MAX_CONN, less than {product}"),
        };
        let (most, least) = (self.share(0), self.share(workers.get() - 1));
        if self.is_automatic() {
            let fewest = self.size(workers.get() - 1).least;
            let least = self.connections_least;
            return format!(
                "{least} to {connections_total} database {connections} {why}, {fewest} to {most} for each worker as it finds them of use"
            );
        }
        let each = if most == least { most.to_string() } else { format!("{least} or {most}") };
        format!("{connections_total} database {connections} {why}, {each} for each worker")
    }

    /// Whether how many serve best is to be found.
    pub fn is_automatic(&self) -> bool {
        self.least_per_core < self.pool_per_core
    }

    /// What to say of a multiplier outside 3 to 6; nothing within.
    pub fn advice(&self) -> Option<String> {
        let in_force = f64::from(self.connections_total) / f64::from(self.cores.get());
        if SUITABLE.contains(&in_force) {
            return None;
        }
        let what = if in_force < *SUITABLE.start() {
            "below 3, cores stand idle while requests wait for PostgreSQL"
        } else {
            "past 6, connections wait on each other inside PostgreSQL and cost memory there"
        };
        Some(format!(
            "{in_force:.1} database connections per core is outside 3 to 6: {what}, unless measured otherwise"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(
        cores: u32,
        workers: u32,
        pool_per_core: f64,
        upper_bound: Option<u32>,
    ) -> Result<Plan, PlanError> {
        plan_over(1, cores, workers, pool_per_core, upper_bound)
    }

    fn plan_over(
        processes: u32,
        cores: u32,
        workers: u32,
        pool_per_core: f64,
        upper_bound: Option<u32>,
    ) -> Result<Plan, PlanError> {
        let number = |n| NonZeroU32::new(n).unwrap();
        let (cores, workers, processes) = (number(cores), number(workers), number(processes));
        let least_per_core = pool_per_core;
        Plan::new(PlanInput { cores, workers, processes, pool_per_core, least_per_core, upper_bound })
    }

    #[test]
    fn the_total_is_the_multiplier_times_the_cores() {
        for (cores, multiplier, total) in [(2, 4.0, 8), (2, 3.0, 6), (8, 6.0, 48), (3, 4.5, 14), (1, 0.1, 1)]
        {
            assert_eq!(plan(cores, 1, multiplier, None).unwrap().connections_total(), total);
        }
    }

    #[test]
    fn every_worker_gets_at_least_one_and_the_banner_says_so() {
        let plan = plan(2, 53, 4.0, None).unwrap();
        assert_eq!(plan.connections_total(), 53);
        assert!(plan.sum().contains("one for each of 53 workers"), "{}", plan.sum());
        assert!(plan.advice().unwrap().contains("26.5"), "{:?}", plan.advice());
    }

    #[test]
    fn another_size_keeps_the_workers_and_is_fixed() {
        let plan = plan(3, 2, 4.0, None).unwrap();
        let other = plan.with_total(10, None).unwrap();
        assert_eq!((other.connections_total(), other.connections_least()), (10, 10));
        assert!(other.sum().contains("3.33 per core × 3 cores"), "{}", other.sum());
        assert_eq!(plan.with_per_core(2.0, None).unwrap().connections_total(), 6);
        assert_eq!(plan.with_total(10, Some(7)).unwrap().connections_total(), 7);
        assert!(matches!(plan.with_total(1, None), Err(PlanError::TotalBelowWorkers { .. })));
    }

    #[test]
    fn the_shares_add_up_to_the_total_and_differ_by_one_at_most() {
        for (workers, total_per_core) in [(1, 4.0), (2, 4.0), (3, 4.0), (5, 1.7)] {
            let plan = plan(4, workers, total_per_core, None).unwrap();
            let shares: Vec<u32> = (0..workers).map(|worker| plan.size(worker).most).collect();
            assert_eq!(shares.iter().sum::<u32>(), plan.connections_total());
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
        }
    }

    #[test]
    fn where_the_best_is_to_be_found_each_worker_has_its_share_of_both_bounds() {
        let number = |n| NonZeroU32::new(n).unwrap();
        let input = |workers, upper_bound| PlanInput {
            cores: number(2),
            workers: number(workers),
            processes: number(1),
            pool_per_core: 6.0,
            least_per_core: 3.0,
            upper_bound,
        };
        let sizes = |workers, upper_bound| {
            let plan = Plan::new(input(workers, upper_bound)).unwrap();
            (0..workers)
                .map(|worker| plan.size(worker))
                .map(|size| (size.least, size.most))
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(2, None), [(3, 6), (3, 6)]);
        assert_eq!(sizes(1, None), [(6, 12)]);
        assert_eq!(sizes(2, Some(5)), [(3, 3), (2, 2)], "the upper bound is below the lower one");
        assert_eq!(sizes(8, None)[7], (1, 1));
        let plan = Plan::new(input(2, None)).unwrap();
        assert!(plan.sum().starts_with("6 to 12 database connections = 3 to 6 per core"), "{}", plan.sum());
        assert_eq!(PoolSize { least: 3, most: 6 }.first(), 4);
    }

    #[test]
    fn the_upper_bound_cuts_and_below_the_workers_is_refused_with_both_numbers() {
        assert_eq!(plan(2, 2, 4.0, Some(5)).unwrap().connections_total(), 5);
        assert_eq!(plan(2, 2, 4.0, Some(100)).unwrap().connections_total(), 8);
        let refused = plan(2, 4, 4.0, Some(3)).unwrap_err().to_string();
        assert!(refused.contains('3') && refused.contains("4 workers"), "{refused}");
    }

    #[test]
    fn a_plan_beyond_max_connections_is_refused_with_both_numbers() {
        let plan = plan(2, 2, 4.0, None).unwrap();
        let tight = Room { limit: 10, reserved: 3, taken: 0 };
        let refused = plan.check(tight).unwrap_err().to_string();
        assert!(refused.contains("wants 8") && refused.contains("has 7 free"), "{refused}");
        assert_eq!(plan.check(Room { limit: 11, ..tight }), Ok(()));
        assert_eq!(Room { limit: 5, reserved: 3, taken: 9 }.free(), 0);
    }

    #[test]
    fn a_reload_needs_room_for_one_process_more() {
        let plan = plan_over(2, 2, 4, 4.5, None).unwrap();
        assert_eq!((plan.connections_total(), plan.overlap()), (9, 5), "3 + 2 for the first process");
        let tight = Room { limit: 16, reserved: 3, taken: 0 };
        let refused = plan.check(tight).unwrap_err().to_string();
        assert!(
            refused.contains("wants 9") && refused.contains("5 more") && refused.contains("has 13 free"),
            "{refused}"
        );
        assert!(refused.contains("DATABASE_MAX_CONN=8"), "8 and 4: {refused}");
        assert_eq!(plan.check(Room { limit: 17, ..tight }), Ok(()));
        assert_eq!(plan_over(53, 2, 53, 4.0, None).unwrap().overlap(), 1);
    }

    #[test]
    fn advice_is_given_outside_3_to_6_only() {
        for (multiplier, advised) in [(2.9, true), (3.0, false), (4.0, false), (6.0, false), (6.5, true)] {
            assert_eq!(plan(10, 1, multiplier, None).unwrap().advice().is_some(), advised, "{multiplier}");
        }
    }
}
