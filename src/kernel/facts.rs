//! What was read, for what is judged.
//!
//! **Invariant:** plain values; `None` means not known, and a setting that is not in the map is not in the running kernel.

use std::collections::BTreeMap;

use super::sysctl::Sysctl;

/// The limits of a machine, as far as they are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// `RLIMIT_NOFILE` of this process, which `plimsoll serve` started from the same place has too.
    pub descriptors: Option<Descriptors>,
    /// The kernel's settings.
    pub sysctls: BTreeMap<Sysctl, Vec<u64>>,
    /// Files open on the whole machine now, the first number of `fs.file-nr`.
    pub open_files: Option<u64>,
    /// Connections that the firewall tracks now.
    pub tracked: Option<u64>,
    /// The unit of `tcp_mem`.
    pub page_bytes: u64,
    /// The machine's memory.
    pub memory: Option<Memory>,
    /// What the control group leaves of it; none where it sets no limit.
    pub cgroup_memory: Option<Memory>,
    /// The cores.
    pub cores: Cores,
    /// PostgreSQL's room; not the kernel's to say, so that reading leaves it at [`Database::NotNamed`].
    pub database: Database,
}

/// A soft and a hard limit; `u64::MAX` stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// In force now; a process may raise it to the hard one by itself.
    pub soft: u64,
    /// Only root may raise it.
    pub hard: u64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All there is: `MemTotal`, or the control group's limit.
    pub total_bytes: u64,
    /// What may still be taken: `MemAvailable`, or the limit less what is in use and cannot be given back.
    pub available_bytes: u64,
}

/// Cores, by who counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cores {
    /// Those that this process may use: affinity and quota respected.
    pub usable: u32,
    /// The control group's quota of processor time, in cores; none where it sets none.
    pub quota: Option<f64>,
}

/// What PostgreSQL says of its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// No database was named, so that nobody was asked.
    NotNamed,
    /// It was named and did not answer.
    NotReached(String),
    /// It answered.
    Room {
        /// `max_connections`, or a limit of the role or the database below it.
        limit: u64,
        /// What is left of it for us.
        free: u64,
        /// What the service's plan opens with one process, with two, and so on: one for each worker at least. More processes than
        /// there are entries open what the last one says.
        wanted: Vec<u64>,
    },
}
