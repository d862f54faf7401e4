//! Resident memory of processes, from `/proc/PID/smaps_rollup` (`proc_pid_smaps(5)`).
//!
//! **Invariant:** what processes share is counted once in `pss_bytes` and `anonymous_bytes`, and once for each in `rss_bytes`.

use std::iter::Sum;

use super::{kibibytes, page_bytes};

/// What one process, or several together, hold in memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessMemory {
    /// Everything that is resident, the program's own file and shared libraries too.
    pub rss_bytes: u64,
    /// The same with each shared page divided by the number of processes that map it.
    pub pss_bytes: u64,
    /// The process's part of what no file stands behind, shares divided alike: heaps and stacks. This is where connections are.
    pub anonymous_bytes: u64,
}

impl Sum for ProcessMemory {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        each.fold(Self::default(), |sum, one| Self {
            rss_bytes: sum.rss_bytes.saturating_add(one.rss_bytes),
            pss_bytes: sum.pss_bytes.saturating_add(one.pss_bytes),
            anonymous_bytes: sum.anonymous_bytes.saturating_add(one.anonymous_bytes),
        })
    }
}

/// One process's memory; not known where it has ended, or is another user's.
pub fn process_memory(pid: u32) -> Option<ProcessMemory> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

/// What of this process is resident, in bytes, cheaply: `/proc/self/statm` walks no page tables (proc(5)).
pub fn resident_bytes() -> Option<u64> {
    parse_statm(&std::fs::read_to_string("/proc/self/statm").ok()?)
}

fn parse_statm(text: &str) -> Option<u64> {
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(page_bytes())
}

/// Several processes' memory together; not known where one of them is not.
pub fn total_memory(pids: &[u32]) -> Option<ProcessMemory> {
    pids.iter().map(|pid| process_memory(*pid)).sum()
}

fn parse(text: &str) -> Option<ProcessMemory> {
    Some(ProcessMemory {
        rss_bytes: kibibytes(text, "Rss")?,
        pss_bytes: kibibytes(text, "Pss")?,
        // The proportional count came with Linux 5.9; before, the plain one is nearest.
        anonymous_bytes: kibibytes(text, "Pss_Anon").or_else(|| kibibytes(text, "Anonymous"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLUP: &str = "558878ddf000-7ffd6d141000 ---p 00000000 00:00 0    [rollup]\n\
        Rss:                1612 kB\nPss:                 431 kB\nPss_Dirty:           112 kB\n\
        Pss_Anon:            110 kB\nPss_File:            319 kB\nAnonymous:           112 kB\n";

    #[test]
    fn the_second_number_of_statm_is_in_pages() {
        assert_eq!(parse_statm("9000 300 200 50 0 400 0\n"), Some(300 * page_bytes()));
        assert_eq!(parse_statm(""), None);
        assert!(resident_bytes().is_none_or(|bytes| bytes > 0));
    }

    #[test]
    fn a_rollup_is_read_in_bytes() {
        let read =
            ProcessMemory { rss_bytes: 1612 * 1024, pss_bytes: 431 * 1024, anonymous_bytes: 110 * 1024 };
        assert_eq!(parse(ROLLUP), Some(read));
        let older = ROLLUP.replace("Pss_Anon", "Pss_Other");
        assert_eq!(parse(&older), Some(ProcessMemory { anonymous_bytes: 112 * 1024, ..read }));
        assert_eq!([read, read].into_iter().sum::<ProcessMemory>().rss_bytes, 2 * 1612 * 1024);
    }

    #[test]
    fn a_text_without_the_numbers_is_not_known_and_not_zero() {
        for text in ["", "Rss: 1612 kB\n", "Rss: many kB\nPss: 1 kB\nAnonymous: 1 kB\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_this_process_takes_is_seen() {
        let pid = std::process::id();
        let before = process_memory(pid).expect("our own memory");
        assert!(before.rss_bytes >= before.pss_bytes, "{before:?}");
        // Far more than what the other tests of this process may give back meanwhile.
        let held = vec![1_u8; 256 << 20];
        let after = total_memory(&[pid]).expect("our own memory");
        assert!(after.anonymous_bytes > before.anonymous_bytes + (128 << 20), "{before:?} {after:?}");
        assert_eq!(held.iter().rev().take(1).sum::<u8>(), 1);
        assert_eq!(total_memory(&[pid, u32::MAX]), None, "no such process");
    }
}
