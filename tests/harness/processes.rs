//! The processes of a service, as the kernel knows them: who started whom, what they were told, and which connections they hold.
//!
//! **Invariant:** nothing is asked of the processes themselves.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

use rustix::process::{Pid, Signal, kill_process};

/// The processes that this one started and that have not ended.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids = text.split_whitespace().filter_map(|word| word.parse().ok());
    pids.filter(|pid| is_alive(*pid)).collect()
}

/// Whether a process runs; one that ended and was not waited for does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The words that a process was started with.
pub(crate) fn words_of(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Signals a process that a service started.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("the signal to be taken");
}

/// Whether this process, and so whatever it starts, ignores a signal (proc(5), `SigIgn`).
pub(crate) fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    let mask = u64::from_str_radix(mask.trim(), 16).unwrap_or_default();
    mask & (1 << (signal.as_raw() - 1)) != 0
}

/// The clients' ports of all connections with this address that the process holds: proc(5), `/proc/net/tcp`.
pub(crate) fn clients_of(pid: u32, address: SocketAddr) -> BTreeSet<u16> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let held: BTreeSet<String> = descriptors
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|link| link.display().to_string())
        .collect();
    let port = |text: &str| u16::from_str_radix(text.rsplit(':').next()?, 16).ok();
    let client = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_ours = port(fields.get(1)?)? == address.port() && *fields.get(3)? == "01";
        (is_ours && held.contains(&format!("socket:[{}]", fields.get(9)?))).then(|| port(fields[2]))?
    };
    fs::read_to_string("/proc/net/tcp").unwrap_or_default().lines().filter_map(client).collect()
}
