//! Counts parked connections from outside, by what the kernel says of the server's epoll instances.
//!
//! **Invariant:** nothing is asked of the server itself.

use std::collections::HashMap;
use std::fs;

/// Connections in the epoll instances that are themselves watched by an epoll instance: proc(5), `/proc/PID/fdinfo`.
pub(super) fn count(pid: u32) -> usize {
    by_worker(pid).iter().sum()
}

/// The same for each worker that has any, in no order.
pub(super) fn by_worker(pid: u32) -> Vec<usize> {
    let watched: HashMap<String, Vec<String>> = fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), targets(&entry.path())))
        .collect();
    let parks = watched.iter().filter(|(epoll, _)| watched.values().flatten().any(|target| target == *epoll));
    parks.map(|(_, targets)| targets.len()).filter(|count| *count > 0).collect()
}

/// The descriptors that an epoll instance watches; none for any other descriptor.
fn targets(path: &std::path::Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let target = |line: &str| Some(line.strip_prefix("tfd:")?.split_whitespace().next()?.to_owned());
    text.lines().filter_map(target).collect()
}
