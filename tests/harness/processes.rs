//! The processes of a service, as the kernel knows them: who started whom, what they were told, what they have, and which connections
//! they hold.
//!
//! **Invariant:** nothing is asked of the processes themselves.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

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

/// The processor time that a process has taken, all threads together: proc(5), `/proc/PID/stat`, fields 14 and 15.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (_, rest) = stat.rsplit_once(") ").expect("a running process");
    let ticks: u64 = rest.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
}

/// A size from `/proc/PID/status`, in KiB: `VmRSS`, `VmHWM`.
pub(crate) fn memory_kib(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {name} of process {pid}"))
}

/// The descriptors that a process holds.
pub(crate) fn open_descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Sets how many descriptors a running process may have, and gives how many it might have before (prlimit(2)). The hard limit stays, so
/// that they can be given back.
pub(crate) fn limit_descriptors(pid: u32, most: Option<u64>) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let line =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a running process");
    let maximum = line.split_whitespace().nth(1).and_then(|hard| hard.parse().ok());
    let limit = Rlimit { current: most, maximum };
    prlimit(Some(process(pid)), Resource::Nofile, limit).expect("a limit that may be set").current
}

/// Signals a process that a service started.
pub(crate) fn signal(pid: u32, signal: Signal) {
    kill_process(process(pid), signal).expect("the signal to be taken");
}

fn process(pid: u32) -> Pid {
    i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id")
}

/// Whether this process, and so whatever it starts, ignores a signal (proc(5), `SigIgn`).
pub(crate) fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    let mask = u64::from_str_radix(mask.trim(), 16).unwrap_or_default();
    mask & (1 << (signal.as_raw() - 1)) != 0
}

/// The clients' ports of all connections with this address that the process holds, half-closed ones included: proc(5), `/proc/net/tcp`.
pub(crate) fn clients_of(pid: u32, address: SocketAddr) -> BTreeSet<u16> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let held: BTreeSet<String> = descriptors
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|link| link.display().to_string())
        .collect();
    let port = |text: &str| u16::from_str_radix(text.rsplit(':').next()?, 16).ok();
    let client = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_ours = port(fields.get(1)?)? == address.port() && *fields.get(3)? != "0A";
        (is_ours && held.contains(&format!("socket:[{}]", fields.get(9)?))).then(|| port(fields[2]))?
    };
    fs::read_to_string("/proc/net/tcp").unwrap_or_default().lines().filter_map(client).collect()
}
