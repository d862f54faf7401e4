//! How many connections this process has room for: what is asked for, within what the open descriptors allow.
//!
//! **Invariant:** pure. What the system allows comes in as numbers.

use crate::config::workers::Accept;
use crate::config::{ServeArgs, SettingsError, Topology};
use crate::server::Reserve;
use crate::telemetry::admin;

/// The limits in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// The most connections.
    pub(super) connections: usize,
    /// Open descriptors allowed before they were raised; none for no limit.
    before: Option<u64>,
    /// Open descriptors allowed now.
    descriptors: Option<u64>,
    /// Descriptors kept back for everything but connections.
    reserve: u64,
}

/// Which of the processes it is, and what it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    /// From 0.
    pub(super) index: u32,
    pub(super) database_connections: u32,
}

impl Room {
    /// The room in one process; what is asked for is divided evenly between the processes.
    pub(super) fn of_process(
        args: &ServeArgs,
        topology: Topology,
        seat: Seat,
        (before, descriptors): (Option<u64>, Option<u64>),
    ) -> Result<Self, SettingsError> {
        let (processes, workers) = (u64::from(topology.processes.get()), topology.workers.get());
        let asked = args.limits.max_connections;
        if let Some(asked) = asked
            && asked < processes
        {
            return Err(SettingsError::new(format!(
                "--max-connections {asked} leaves some of the {processes} processes without any. Ask for {processes} or more, or \
                 set --processes {asked}"
            )));
        }
        let addresses = args.listen.addresses().len();
        let reserve = Reserve {
            workers,
            listeners: if topology.accept == Accept::Handoff {
                addresses
            } else {
                addresses * workers as usize
            },
            database_connections: seat.database_connections,
        };
        // Of several processes the supervisor has the admin side, and no client.
        let admin = if processes == 1 { admin::DESCRIPTORS } else { 0 };
        let share = |asked: u64| asked / processes + u64::from(u64::from(seat.index) < asked % processes);
        Self::of(before, descriptors, reserve.descriptors() + admin, asked.map(share))
    }

    fn of(
        before: Option<u64>,
        descriptors: Option<u64>,
        reserve: u64,
        asked: Option<u64>,
    ) -> Result<Self, SettingsError> {
        let allowed = descriptors.map_or(u64::MAX, |descriptors| descriptors.saturating_sub(reserve));
        let connections = asked.unwrap_or(allowed);
        if allowed == 0 || connections > allowed {
            let limit = descriptors.unwrap_or_default();
            let wish = if asked.is_some() {
                format!("--max-connections {connections}")
            } else {
                "even one connection".into()
            };
            return Err(SettingsError::new(format!(
                "{wish} is more than this process has descriptors for: {limit} are allowed (RLIMIT_NOFILE), {reserve} of them are \
                 kept back. Raise the hard limit (`ulimit -Hn`, or LimitNOFILE= in a systemd unit), or ask for {allowed} or fewer"
            )));
        }
        Ok(Self {
            connections: usize::try_from(connections).unwrap_or(usize::MAX),
            before,
            descriptors,
            reserve,
        })
    }

    /// The line of the banner.
    pub(super) fn describe(self) -> String {
        let Some(descriptors) = self.descriptors else {
            return format!("{} connections, any number of open descriptors", self.connections);
        };
        let raised = match self.before {
            Some(before) if before < descriptors => format!(", raised from {before}"),
            _ => String::new(),
        };
        format!(
            "{} connections, {descriptors} open descriptors{raised}, {} of them kept back",
            self.connections, self.reserve
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVE: u64 = 60;

    fn room(descriptors: Option<u64>, asked: Option<u64>) -> Result<Room, SettingsError> {
        Room::of(Some(1024), descriptors, RESERVE, asked)
    }

    #[test]
    fn without_a_wish_it_is_what_the_descriptors_leave() {
        let room = room(Some(20_000), None).unwrap();
        assert_eq!(room.connections as u64, 20_000 - RESERVE);
        assert!(room.describe().contains("20000 open descriptors, raised from 1024"), "{}", room.describe());
    }

    #[test]
    fn a_wish_within_is_granted_and_beyond_is_refused_with_the_number_that_is_not() {
        assert_eq!(room(Some(20_000), Some(100)).unwrap().connections, 100);
        let most = 20_000 - RESERVE;
        assert!(room(Some(20_000), Some(most)).is_ok());
        let refused = room(Some(20_000), Some(most + 1)).unwrap_err().to_string();
        assert!(refused.contains(&format!("ask for {most} or fewer")), "{refused}");
        assert!(room(Some(RESERVE), None).is_err(), "no descriptor left for a client");
    }

    #[test]
    fn without_a_limit_there_is_room_for_all() {
        assert_eq!(room(None, Some(5)).unwrap().connections, 5);
        assert_eq!(room(None, None).unwrap().connections, usize::MAX);
    }
}
