//! Limits of the control group that this process is in, both versions (the kernel's `admin-guide/cgroup-v2.rst` and
//! `admin-guide/cgroup-v1/memory.rst`).
//!
//! A limit holds for everything below it, so that all groups from ours up to the root are asked and the tightest counts.
//!
//! **Invariant:** a group that is not to be seen, as one outside our container, is passed over; the rest still count.

use super::System;
use crate::kernel::facts::Memory;

/// The folders of our group and all above it, innermost first: of version 2, and of a controller of version 1.
pub(super) fn folders(membership: &str, controller: &str) -> Vec<String> {
    let lines = membership.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?))
    });
    let mut folders = Vec::new();
    // The kernel writes paths from the root (cgroups(7)); what is none names no group.
    for (controllers, path) in lines.filter(|(_, path)| path.starts_with('/')) {
        let mount = if controllers.is_empty() {
            "sys/fs/cgroup".to_owned()
        } else if controllers.split(',').any(|name| name == controller) {
            format!("sys/fs/cgroup/{controller}")
        } else {
            continue;
        };
        let mut path = path.trim_end_matches('/');
        while !path.is_empty() {
            folders.push(format!("{mount}{path}"));
            path = path.rsplit_once('/').map_or("", |(above, _)| above);
        }
        folders.push(mount);
    }
    folders
}

/// What a version calls its files on memory, and the entries of `memory.stat`.
struct Names {
    /// Past the first of these processes are killed, past the second they are slowed down until they hardly run.
    limits: &'static [&'static str],
    usage: &'static str,
    /// What of it the kernel gives back when it is wanted: cached files, and its own caches where they are counted apart.
    returned: &'static [&'static str],
    /// What it cannot give back, all together, and a file with the kernel's part where that is not among them.
    kept: (&'static [&'static str], Option<&'static str>),
}

const SLAB_RECLAIMABLE: &str = "slab_reclaimable";

const VERSIONS: [Names; 2] = [
    Names {
        limits: &["memory.max", "memory.high"],
        usage: "memory.current",
        returned: &["inactive_file", "active_file", SLAB_RECLAIMABLE],
        kept: (&["anon", "shmem", "kernel", "sock"], None),
    },
    Names {
        limits: &["memory.limit_in_bytes"],
        usage: "memory.usage_in_bytes",
        returned: &["total_inactive_file", "total_active_file"],
        kept: (&["total_rss", "total_shmem"], Some("memory.kmem.usage_in_bytes")),
    },
];

/// The tightest limit on memory that is below `most`: the one that leaves least.
pub(super) fn memory(system: &System, membership: &str, most: u64) -> Option<Memory> {
    let folders = folders(membership, "memory").into_iter();
    let limits = folders
        .filter_map(|folder| VERSIONS.iter().find_map(|names| memory_of(system, &folder, names, most)));
    limits.min_by_key(|memory| memory.available_bytes)
}

/// One group's limit.
fn memory_of(system: &System, folder: &str, names: &Names, most: u64) -> Option<Memory> {
    // "max" of version 2 is no number, hence no limit; version 1 writes a number beyond all memory.
    let limits = names.limits.iter().filter_map(|limit| system.number(&format!("{folder}/{limit}")));
    let total_bytes = limits.min().filter(|limit| *limit < most)?;
    let used = system.number(&format!("{folder}/{}", names.usage)).unwrap_or(0);
    let stat = system.text(&format!("{folder}/memory.stat")).unwrap_or_default();
    let entry = |name: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|number| number.trim().parse::<u64>().ok())
    };
    let returned: u64 = names.returned.iter().filter_map(|name| entry(name)).sum();
    let (entries, file) = names.kept;
    let kernel = file.map_or(Some(0), |file| system.number(&format!("{folder}/{file}")));
    let kept: Option<u64> = entries.iter().map(|name| entry(name)).chain([kernel]).sum();
    let kept = kept.map(|kept| kept.saturating_sub(entry(SLAB_RECLAIMABLE).unwrap_or(0)));
    // The usage also counts huge pages of which the process gave a part back (`admin-guide/mm/transhuge.rst`): they are split, and that part
    // freed, when memory is wanted.
    let used = used.saturating_sub(returned).min(kept.unwrap_or(u64::MAX));
    Some(Memory { total_bytes, available_bytes: total_bytes.saturating_sub(used) })
}

/// The tightest quota of processor time, in cores.
pub(super) fn quota(system: &System, membership: &str) -> Option<f64> {
    let quotas = folders(membership, "cpu").into_iter().filter_map(|folder| {
        let version_2 = system.text(&format!("{folder}/cpu.max"));
        let (quota, period) = match version_2.as_deref().and_then(|text| text.trim().split_once(' ')) {
            Some((quota, period)) => (quota.parse().ok()?, period.parse().ok()?),
            None => (
                // "-1", no number of ours, for none.
                system.number(&format!("{folder}/cpu.cfs_quota_us"))?,
                system.number(&format!("{folder}/cpu.cfs_period_us"))?,
            ),
        };
        in_cores(quota, period)
    });
    quotas.min_by(f64::total_cmp)
}

fn in_cores(quota_us: u64, period_us: u64) -> Option<f64> {
    let number = |n: u64| u32::try_from(n).ok().map(f64::from);
    Some(number(quota_us)? / number(period_us).filter(|period| *period > 0.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A file system with these files and nothing else.
    fn system(files: &[(&str, &str)]) -> (tempfile::TempDir, System) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let system = System::below(folder.path());
        (folder, system)
    }

    #[test]
    fn version_2_takes_the_tightest_of_all_groups_above() {
        let (_kept, system) = system(&[
            ("sys/fs/cgroup/a/memory.max", "8000\n"),
            ("sys/fs/cgroup/a/memory.current", "5000\n"),
            (
                "sys/fs/cgroup/a/memory.stat",
                "anon 1\ninactive_file 700\nactive_file 200\nslab_reclaimable 100\nfile_dirty 9\n",
            ),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
        ]);
        let ours = "0::/a/b\n";
        let tightest = Memory { total_bytes: 8000, available_bytes: 4000 };
        assert_eq!(memory(&system, ours, u64::MAX), Some(tightest));
        assert_eq!(memory(&system, ours, 8000), None, "no less than all memory");
        assert_eq!(quota(&system, ours), Some(1.5));
        assert_eq!((memory(&system, "0::/\n", u64::MAX), quota(&system, "0::/\n")), (None, None));
    }

    #[test]
    fn a_group_that_is_slowed_down_before_its_limit_has_no_more_than_that() {
        let (_kept, system) = system(&[
            ("sys/fs/cgroup/memory.max", "8000\n"),
            ("sys/fs/cgroup/memory.high", "6000\n"),
            ("sys/fs/cgroup/memory.current", "7000\n"),
        ]);
        let slowed = Memory { total_bytes: 6000, available_bytes: 0 };
        assert_eq!(memory(&system, "0::/\n", u64::MAX), Some(slowed));
    }

    #[test]
    fn what_the_usage_counts_and_nobody_holds_is_left() {
        let (_kept, system) = system(&[
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "8000\n"),
            ("sys/fs/cgroup/memory/memory.kmem.usage_in_bytes", "500\n"),
            ("sys/fs/cgroup/memory/memory.stat", "rss 1\ntotal_rss 3000\ntotal_shmem 500\n"),
            ("sys/fs/cgroup/b/memory.max", "9000\n"),
            ("sys/fs/cgroup/b/memory.current", "8000\n"),
            (
                "sys/fs/cgroup/b/memory.stat",
                "anon 3000\nkernel 600\nshmem 500\nsock 0\nslab_reclaimable 100\n",
            ),
        ]);
        let left = Memory { total_bytes: 9000, available_bytes: 5000 };
        assert_eq!(memory(&system, "5:memory:/\n", u64::MAX), Some(left));
        assert_eq!(memory(&system, "0::/b\n", u64::MAX), Some(left));
    }

    #[test]
    fn version_1_is_read_by_controller_and_minus_one_is_no_quota() {
        let (_kept, system) = system(&[
            ("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9000\n"),
            ("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "100\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n"),
        ]);
        let ours = "5:memory:/job\n2:cpu,cpuacct:/job\n1:name=systemd:/\n";
        let of_job = Memory { total_bytes: 9000, available_bytes: 8900 };
        assert_eq!(memory(&system, ours, u64::MAX), Some(of_job));
        assert_eq!(quota(&system, ours), Some(0.5));
        let outside = "5:memory:/docker/unseen\n2:cpu:/docker/unseen\n";
        assert!(
            memory(&system, outside, u64::MAX).unwrap().total_bytes > 1 << 60,
            "the root's number beyond all memory"
        );
        assert_eq!(memory(&system, outside, 1 << 50), None);
        assert_eq!(quota(&system, outside), None);
        assert_eq!(folders("0::job\n5:memory\n", "memory"), [""; 0], "no paths");
    }
}
