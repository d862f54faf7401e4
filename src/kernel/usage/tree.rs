//! Processor time of processes and of all that they started, from `/proc/PID/stat` (`proc_pid_stat(5)`).
//!
//! What a child used is in its own line while it lives, and in its parent's once the parent has waited for it, so that the sum over a tree
//! only grows, whoever ends meanwhile.
//!
//! **Invariant:** times are counted in the kernel's ticks, of which there are a hundred a second: a difference is worth reading over
//! many of them.

use std::collections::BTreeMap;
use std::time::Duration;

/// One process's line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    name: String,
    parent: u32,
    /// Ticks of its own, and of children that it has waited for.
    ticks: u64,
}

/// All processes at one moment.
#[derive(Debug, Clone, Default)]
pub struct ProcessTable {
    lines: BTreeMap<u32, Line>,
}

impl ProcessTable {
    /// Reads the table; empty where the system has none.
    pub fn read() -> Self {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // One that has ended meanwhile is in its parent's line.
        let line = |pid| Some((pid, parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?));
        Self { lines: pids.filter_map(line).collect() }
    }

    /// Processor time of a process and of all below it, user's and kernel's; not known where there is no such process.
    pub fn tree_time(&self, root: u32) -> Option<Duration> {
        let mut ticks = self.lines.get(&root)?.ticks;
        let mut level = vec![root];
        // Each process is below one other, so that the levels end.
        while !level.is_empty() {
            let below = self.lines.iter().filter(|(pid, line)| level.contains(&line.parent) && **pid != root);
            let (pids, more): (Vec<u32>, Vec<u64>) = below.map(|(pid, line)| (*pid, line.ticks)).unzip();
            ticks += more.iter().sum::<u64>();
            level = pids;
        }
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Some(Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / per_second)))
    }

    /// The process that started this one, where both go by this name: PostgreSQL's first process, of one that serves a session.
    pub fn parent_named(&self, pid: u32, name: &str) -> Option<u32> {
        let child = self.lines.get(&pid).filter(|line| line.name == name)?;
        self.lines.get(&child.parent).filter(|line| line.name == name).map(|_| child.parent)
    }
}

/// The name stands in parentheses and may hold anything, so that fields are counted from the last of them.
fn parse(text: &str) -> Option<Line> {
    let (before, rest) = text.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Line { name, parent, ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "42 (a b) c) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 5 6 7 18446744073709551615";

    fn table(lines: &[(u32, u32, u64)]) -> ProcessTable {
        let line = |(pid, parent, ticks): &(u32, u32, u64)| {
            (*pid, Line { name: "x".into(), parent: *parent, ticks: *ticks })
        };
        ProcessTable { lines: lines.iter().map(line).collect() }
    }

    #[test]
    fn a_line_is_read_whatever_the_name_holds() {
        assert_eq!(parse(STAT), Some(Line { name: "a b) c".into(), parent: 7, ticks: 124 }));
        assert_eq!(parse("42 (a) S 7"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_tree_is_a_process_and_all_below_it() {
        let table = table(&[(1, 0, 500), (10, 1, 5), (11, 10, 7), (12, 11, 1), (20, 1, 90)]);
        let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second();
        assert_eq!(table.tree_time(10), Some(Duration::from_nanos(13 * tick)));
        assert_eq!(table.tree_time(20), Some(Duration::from_nanos(90 * tick)));
        assert_eq!(table.tree_time(99), None);
        assert_eq!((table.parent_named(12, "x"), table.parent_named(12, "y")), (Some(11), None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_time_of_a_child_that_was_waited_for_stays_in_the_sum() {
        let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let mut shell = std::process::Command::new("sh")
            .args(["-c", &format!("sh -c '{script}'; read -r _")])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let started = std::time::Instant::now();
        loop {
            // Its child ends, and the time of it is there all the same.
            let table = ProcessTable::read();
            let alone = !table.lines.values().any(|line| line.parent == shell.id());
            match table.tree_time(shell.id()) {
                Some(used) if alone && used >= Duration::from_millis(50) => break,
                _ => assert!(started.elapsed() < Duration::from_mins(1), "no time was counted"),
            }
        }
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }
}
