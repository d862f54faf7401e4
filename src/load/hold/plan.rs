//! How connections are shared out over processes.
//!
//! **Invariant:** pure: the limits are arguments, and all parts together are the whole.

use std::num::NonZeroU32;

/// What decides the number of processes.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput {
    /// Connections to hold.
    pub connections: u32,
    /// Descriptors that one process may have open.
    pub descriptors: u64,
    /// Descriptors that a process needs for other things.
    pub reserve: u64,
    /// Cores of this machine: fewer processes would leave some idle.
    pub cores: NonZeroU32,
    /// Processes asked for.
    pub processes: Option<NonZeroU32>,
}

/// The most processes: past it, starting them takes longer than opening connections.
const MOST_PROCESSES: u64 = 4096;

/// Why connections cannot be shared out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// Too few were asked for.
    #[error(
        "{processes} processes of {each} descriptors (RLIMIT_NOFILE) hold at most {room} connections: raise --processes to \
         {needed}, leave it out, or raise the hard limit"
    )]
    TooFewProcesses {
        /// Asked for.
        processes: u64,
        /// The limit of each.
        each: u64,
        /// What they hold together.
        room: u64,
        /// What would do.
        needed: u64,
    },
    /// The limit is so low that no number of processes will do.
    #[error(
        "a process may have {0} descriptors open (RLIMIT_NOFILE), which is too few to hold this many connections: raise the hard \
         limit (`ulimit -Hn`)"
    )]
    Hopeless(u64),
}

/// The number of processes.
pub fn processes(input: PlanInput) -> Result<NonZeroU32, PlanError> {
    let PlanInput { connections, descriptors, reserve, .. } = input;
    let room = descriptors.saturating_sub(reserve);
    let needed = u64::from(connections).div_ceil(room.max(1)).max(1);
    if room == 0 || needed > MOST_PROCESSES {
        return Err(PlanError::Hopeless(descriptors));
    }
    let wanted = match input.processes {
        Some(given) => u64::from(given.get()),
        // One event loop for each core at least, where there is a connection for it.
        None => needed.max(u64::from(input.cores.get().min(connections))),
    };
    let wanted = wanted.min(u64::from(connections));
    if wanted < needed {
        let room = room * wanted;
        return Err(PlanError::TooFewProcesses { processes: wanted, each: descriptors, room, needed });
    }
    Ok(u32::try_from(wanted).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(connections: u32, descriptors: u64, processes: Option<u32>) -> PlanInput {
        PlanInput {
            connections,
            descriptors,
            reserve: 64,
            cores: NonZeroU32::new(2).unwrap(),
            processes: processes.and_then(NonZeroU32::new),
        }
    }

    #[test]
    fn a_million_under_twenty_thousand_descriptors_takes_51() {
        assert_eq!(processes(input(1_000_000, 20_000, None)).unwrap().get(), 51);
        assert_eq!(processes(input(1_200_000, 20_000, None)).unwrap().get(), 61);
    }

    #[test]
    fn few_connections_still_use_each_core_and_never_an_empty_process() {
        assert_eq!(processes(input(1_000, 20_000, None)).unwrap().get(), 2);
        assert_eq!(processes(input(1, 20_000, None)).unwrap().get(), 1);
        assert_eq!(processes(input(3, 20_000, Some(8))).unwrap().get(), 3);
        assert_eq!(processes(input(1_000, 20_000, Some(8))).unwrap().get(), 8);
    }

    #[test]
    fn too_few_processes_are_refused_with_the_number_that_would_do() {
        let refused = processes(input(500, 200, Some(2))).unwrap_err();
        assert_eq!(refused, PlanError::TooFewProcesses { processes: 2, each: 200, room: 272, needed: 4 });
        assert_eq!(processes(input(500, 64, None)), Err(PlanError::Hopeless(64)));
        assert_eq!(processes(input(1_000_000, 100, None)), Err(PlanError::Hopeless(100)));
    }
}
