//! Why a plan cannot be carried out: too few connections for the workers, or for PostgreSQL's liking too many.
//!
//! **Invariant:** each message holds the numbers, and the one that would do.

use std::num::NonZeroU32;

/// What PostgreSQL said of its connections at first contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What this role may open in this database: `max_connections`, or a limit of the role or database below it.
    pub limit: u32,
    /// Kept back for superusers and `pg_use_reserved_connections`.
    pub reserved: u32,
    /// Taken by others.
    pub taken: u32,
}

/// Why a plan cannot be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The upper bound leaves a worker without a connection.
    #[error(
        "DATABASE_MAX_CONN is {upper_bound}, but each of the {workers} workers needs a database connection of its own. \
         Raise it to {workers} or more, or run no more than {upper_bound} (--workers in each of --processes)"
    )]
    FewerThanWorkers {
        /// `DATABASE_MAX_CONN`.
        upper_bound: u32,
        /// Workers over all processes.
        workers: NonZeroU32,
    },
    /// A total that was asked for leaves a worker without a connection.
    #[error(
        "{total} database connections are too few: each of the {workers} workers needs one of its own. Ask for {workers} or more"
    )]
    TotalBelowWorkers {
        /// What was asked for.
        total: u32,
        /// Workers over all processes.
        workers: NonZeroU32,
    },
    /// PostgreSQL has no room for the plan.
    #[error(
        "the plan wants {wanted} database connections{}, but PostgreSQL has {free} free ({} allowed, {} reserved, {} taken). \
         Lower --pool-per-core or set DATABASE_MAX_CONN={fitting}, or raise PostgreSQL's max_connections",
        tell_overlap(*overlap), room.limit, room.reserved, room.taken
    )]
    TooManyConnections {
        /// `connections_total`.
        wanted: u32,
        /// What a process has besides while a reload replaces it.
        overlap: u32,
        /// What is left for us.
        free: u32,
        /// The largest total for which there is room.
        fitting: u32,
        /// Where that number comes from.
        room: Room,
    },
}

fn tell_overlap(overlap: u32) -> String {
    if overlap == 0 {
        String::new()
    } else {
        format!(", and {overlap} more while a reload replaces a process")
    }
}

impl Room {
    /// Connections that are left for us.
    pub fn free(self) -> u32 {
        self.limit.saturating_sub(self.reserved).saturating_sub(self.taken)
    }
}
