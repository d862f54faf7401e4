//! The servers behind a service, as they are shown: one that takes writes, and those that are read from.
//!
//! **Invariant:** plain facts that can be sent to another process; what several processes say of one server is one line.

use serde::{Deserialize, Serialize};

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// It is written to, and read from where there is no other.
    Writes,
    /// It is read from.
    Reads,
}

/// What a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It follows no other.
    Primary,
    /// It follows another.
    Standby,
}

/// One server, as one process or all of them see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// What it is for.
    pub side: Side,
    /// Host and port, or the path of a socket.
    pub at: String,
    /// What it said it is, if it ever said anything.
    pub role: Option<Role>,
    /// How far it is behind the primary, in milliseconds, where that is known.
    pub lag_ms: Option<u64>,
    /// Whether it is used now.
    pub in_use: bool,
    /// Why not, where it is not.
    pub left_out: Option<String>,
    /// Sessions that are open there.
    pub open: u32,
    /// Requests that were sent there, since the process began; not counted for writes.
    pub served: Option<u64>,
}

impl Side {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Writes => "writes",
            Self::Reads => "reads",
        }
    }
}

impl Role {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
        }
    }
}

/// What several processes see, each server once: sessions and requests are added up, the greatest lag counts, and a server that one of
/// them leaves out is shown as left out, with that one's reason.
pub fn sum<'a>(processes: impl Iterator<Item = &'a [Host]>) -> Vec<Host> {
    let mut all: Vec<Host> = Vec::new();
    for host in processes.flatten() {
        let Some(known) = all.iter_mut().find(|known| known.side == host.side && known.at == host.at) else {
            all.push(host.clone());
            continue;
        };
        known.role = known.role.or(host.role);
        known.lag_ms = known.lag_ms.max(host.lag_ms);
        known.in_use &= host.in_use;
        known.left_out = known.left_out.take().or_else(|| host.left_out.clone());
        known.open += host.open;
        known.served = match (known.served, host.served) {
            (Some(ours), Some(theirs)) => Some(ours + theirs),
            (ours, theirs) => ours.or(theirs),
        };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(at: &str, lag_ms: u64, left_out: Option<&str>) -> Host {
        Host {
            side: Side::Reads,
            at: at.into(),
            role: Some(Role::Standby),
            lag_ms: Some(lag_ms),
            in_use: left_out.is_none(),
            left_out: left_out.map(str::to_owned),
            open: 2,
            served: Some(5),
        }
    }

    #[test]
    fn what_several_processes_see_is_one_line_for_each_server() {
        let (one, other) = ([host("a:1", 3, None), host("b:1", 0, None)], [host("a:1", 7, Some("late"))]);
        let all = sum([&one[..], &other[..]].into_iter());
        assert_eq!(all.len(), 2);
        let expected = Host { open: 4, served: Some(10), ..host("a:1", 7, Some("late")) };
        assert_eq!(all, [expected, host("b:1", 0, None)]);
    }
}
