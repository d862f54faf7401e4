//! Reads the facts: limits of the process, settings of the kernel, memory, control groups, cores.
//!
//! [`System`] is where they are read from, and set: `/`, or a folder that looks like it, for tests. [`memory`] and
//! [`cgroup`] read what needs more than one line.
//!
//! **Invariant:** nothing is judged here, and nothing fails: what cannot be read is not known.

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit};

use super::facts::{Cores, Database, Descriptors, Facts, Memory};
use super::sysctl::{Sysctl, parse_values, write_values};

mod cgroup;
mod memory;

/// The file system that holds `proc` and `sys`.
#[derive(Debug, Clone)]
pub struct System {
    root: PathBuf,
}

impl System {
    /// The one below this folder; `/` for the real one.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A path of it, given without a slash in front.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// All the facts that the system can tell; cores and limits are this process's own.
    pub fn facts(&self) -> Facts {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let unlimited = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let memory = self.memory();
        let group = self.text("proc/self/cgroup").unwrap_or_default();
        Facts {
            descriptors: Some(Descriptors { soft: unlimited(current), hard: unlimited(maximum) }),
            sysctls: Sysctl::ALL.into_iter().filter_map(|one| Some((one, self.sysctl(one)?))).collect(),
            open_files: self.number("proc/sys/fs/file-nr"),
            tracked: self.number("proc/sys/net/netfilter/nf_conntrack_count"),
            page_bytes: u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX),
            memory,
            cgroup_memory: cgroup::memory(self, &group, memory.map_or(u64::MAX, |all| all.total_bytes)),
            cores: Cores {
                usable: u32::try_from(cores).unwrap_or(u32::MAX),
                quota: cgroup::quota(self, &group),
            },
            database: Database::NotNamed,
        }
    }

    /// The machine's memory.
    pub fn memory(&self) -> Option<Memory> {
        self.text("proc/meminfo").and_then(|text| memory::parse(&text))
    }

    /// What the control groups of this process leave of it; none where they set no limit, or one of `all` memory or more.
    pub fn group_memory(&self, all: u64) -> Option<Memory> {
        cgroup::memory(self, &self.text("proc/self/cgroup")?, all)
    }

    /// A setting's values; none where the running kernel does not have it.
    pub fn sysctl(&self, sysctl: Sysctl) -> Option<Vec<u64>> {
        parse_values(&self.text(&sysctl.path())?)
    }

    /// Sets a setting until the next start of the machine, and says so only where the kernel has taken it.
    ///
    /// # Errors
    /// Fails where we may not, where the kernel does not have it, and where it keeps another value than the one given.
    pub fn set_sysctl(&self, sysctl: Sysctl, values: &[u64]) -> io::Result<()> {
        let path = self.path(&sysctl.path());
        // Never created: a setting is there or it is not. In one write, as proc(5) asks for.
        let mut file = std::fs::OpenOptions::new().write(true).truncate(true).open(&path)?;
        io::Write::write_all(&mut file, format!("{}\n", write_values(values)).as_bytes())?;
        drop(file);
        match self.sysctl(sysctl) {
            Some(kept) if kept == values => Ok(()),
            kept => {
                let kept = kept.map_or_else(|| "nothing".into(), |kept| write_values(&kept));
                Err(io::Error::other(format!("the kernel keeps {kept}")))
            }
        }
    }

    fn text(&self, path: &str) -> Option<String> {
        read(&self.path(path))
    }

    /// The first number of a file.
    fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.split_whitespace().next()?.parse().ok()
    }
}

/// Reads what `/proc/self/cgroup` says.
///
/// # Panics
/// Where a folder that it names lies elsewhere than among the control groups.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn check_membership(text: &str) {
    for controller in ["memory", "cpu"] {
        for folder in cgroup::folders(text, controller) {
            let below = folder.strip_prefix("sys/fs/cgroup");
            assert!(below.is_some_and(|below| below.is_empty() || below.starts_with('/')), "{folder}");
        }
    }
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
