//! A machine made of files: as much of `/proc` and `/sys` as the doctor reads.
//!
//! **Invariant:** it lies in a temporary folder, and goes with it.

use std::fs;
use std::path::PathBuf;

use crate::harness::ServerSetup;

/// What a machine of 24 GB says.
const FILES: [(&str, &str); 18] = [
    ("proc/meminfo", "MemTotal: 24684084 kB\nMemFree: 24432772 kB\nMemAvailable: 24365188 kB\n"),
    ("proc/self/cgroup", "0::/service\n"),
    ("proc/sys/fs/nr_open", "1048576\n"),
    ("proc/sys/fs/file-max", "2466170\n"),
    ("proc/sys/fs/file-nr", "450\t0\t2466170\n"),
    ("proc/sys/fs/epoll/max_user_watches", "5491511\n"),
    ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
    ("proc/sys/net/ipv4/tcp_mem", "287898\t383867\t575796\n"),
    ("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t33554432\n"),
    ("proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n"),
    ("proc/sys/net/core/somaxconn", "4096\n"),
    ("proc/sys/net/ipv4/tcp_max_syn_backlog", "2048\n"),
    ("proc/sys/net/core/netdev_max_backlog", "1000\n"),
    ("proc/sys/net/netfilter/nf_conntrack_max", "262144\n"),
    ("proc/sys/net/netfilter/nf_conntrack_count", "144\n"),
    ("proc/sys/net/ipv4/tcp_max_tw_buckets", "131072\n"),
    ("proc/sys/net/ipv4/tcp_max_orphans", "131072\n"),
    ("proc/sys/net/ipv4/tcp_tw_reuse", "2\n"),
];

pub(super) struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// One of 24 GB; its kernel is one without `tcp_migrate_req`.
    pub(super) fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        for (path, text) in FILES {
            machine.write(path, text);
        }
        machine
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("its folder");
        fs::write(&path, text).expect("a file");
    }

    pub(super) fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).expect("a file that is there");
    }

    /// A setting's values, as written.
    pub(super) fn sysctl(&self, path: &str) -> String {
        let text = fs::read_to_string(self.path("proc/sys").join(path)).expect("a setting");
        text.trim().replace('\t', " ")
    }

    /// All settings, for a comparison.
    pub(super) fn sysctls(&self) -> Vec<String> {
        let paths = FILES.iter().filter_map(|(path, _)| path.strip_prefix("proc/sys/"));
        paths.map(|path| format!("{path} = {}", self.sysctl(path))).collect()
    }

    /// The doctor for this machine, with room for its processes' descriptors whatever this process's own limit is.
    pub(super) fn doctor(&self, arguments: &[&str]) -> ServerSetup {
        self.doctor_under("512:1024", arguments)
    }

    /// The same under these limits of descriptors, soft and hard.
    pub(super) fn doctor_under(&self, nofile: &str, arguments: &[&str]) -> ServerSetup {
        let limit = format!("--nofile={nofile}");
        ServerSetup::by("prlimit", &[&limit, env!("CARGO_BIN_EXE_plimsoll"), "doctor", "--system-root"])
            .arg(self.folder.path())
            .args(arguments)
    }
}
