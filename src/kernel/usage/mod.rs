//! What is in use now, read from `/proc` (proc(5)): what connections cost, on the user's side and the kernel's.
//!
//! [`memory`] reads a process's resident memory, [`slab`] the kernel's own, [`sockets`] TCP's counters, [`processor`]
//! a thread's time, [`tree`] that of a process and all below it, and [`listeners`] which processes hold a port.
//!
//! **Invariant:** each reading is a text first and a value second: parsing touches no file, and `None` means not known.

pub mod listeners;
pub mod memory;
pub mod processor;
pub mod slab;
pub mod sockets;
pub mod tree;

pub use listeners::listening_processes;
pub use memory::{ProcessMemory, process_memory, resident_bytes, total_memory};
pub use processor::thread_time;
pub use slab::{SlabCache, SlabUsage, slab_usage};
pub use sockets::{SocketUsage, socket_usage};
pub use tree::ProcessTable;

/// The number in a line such as `Rss:   1612 kB`, in bytes; the unit is 1024 bytes, whatever its name (proc(5)).
pub(super) fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

/// The unit of the kernel's counts of pages, in bytes.
fn page_bytes() -> u64 {
    u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX)
}
