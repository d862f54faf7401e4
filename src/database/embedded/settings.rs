//! What the private PostgreSQL is configured to: text, made of numbers and paths.
//!
//! The tuning is that of the TechEmpower database, cut to what a small machine has. `synchronous_commit = off` trades
//! the last fraction of a second of updates, should the machine or the server crash, for not waiting on the disk at
//! each commit; the data are never inconsistent, since `fsync` and full page writes stay on.
//!
//! **Invariant:** nothing here reads a clock, a file or the environment (but [`memory`], which says so), and every
//! setting is known to all of PostgreSQL 13 to 18.

use std::fs;

/// The name of our file in the cluster's directory.
pub(super) const FILE: &str = "plimsoll.conf";
/// The line that `postgresql.conf` needs for it.
pub(super) const INCLUDE: &str = "include 'plimsoll.conf'";

/// Connections beside those the service asks for: PostgreSQL's own reserve of three, and a person or two with `psql`.
const ROOM: u32 = 10;
const FEWEST_CONNECTIONS: u32 = 100;
const MIB: u64 = 1024 * 1024;

/// What differs from one machine or start to another.
pub(super) struct Settings<'a> {
    pub(super) socket_dir: &'a str,
    pub(super) port: u16,
    pub(super) tcp: bool,
    pub(super) max_connections: u32,
    pub(super) memory: Option<u64>,
    pub(super) statement_statistics: bool,
}

/// How many connections a server needs to allow for a service that asks for so many.
pub(super) fn connections_for(asked: u32) -> u32 {
    asked.saturating_add(ROOM).max(FEWEST_CONNECTIONS)
}

/// The value of `listen_addresses`.
pub(super) fn listen_addresses(tcp: bool) -> &'static str {
    if tcp { "127.0.0.1" } else { "" }
}

impl Settings<'_> {
    /// The text of our file.
    pub(super) fn text(&self) -> String {
        let shared_buffers = shared_buffers_mib(self.memory);
        // A list of directories, in which a name may be quoted once more.
        let socket_dir = quoted(&format!("\"{}\"", self.socket_dir.replace('"', "\"\"")));
        let preloaded = if self.statement_statistics { "pg_stat_statements" } else { "" };
        format!(
            "# Written by plimsoll at every start. What should differ belongs into ALTER SYSTEM, which wins over this.\n\
             listen_addresses = {listen}\n\
             port = {port}\n\
             unix_socket_directories = {socket_dir}\n\
             max_connections = {max_connections}\n\
             password_encryption = 'scram-sha-256'\n\
             shared_preload_libraries = {preloaded}\n\
             shared_buffers = {shared_buffers}MB\n\
             effective_cache_size = {cache}MB\n\
             work_mem = 8MB\n\
             synchronous_commit = off\n\
             fsync = on\n\
             wal_level = minimal\n\
             max_wal_senders = 0\n\
             wal_buffers = 16MB\n\
             max_wal_size = 1GB\n\
             checkpoint_timeout = 15min\n\
             checkpoint_completion_target = 0.9\n\
             random_page_cost = 1.1\n\
             autovacuum = on\n\
             jit = off\n\
             lc_messages = 'C'\n\
             log_checkpoints = off\n\
             include_if_exists '{full}'\n",
            full = super::disk::FULL,
            listen = quoted(listen_addresses(self.tcp)),
            port = self.port,
            max_connections = connections_for(self.max_connections),
            preloaded = quoted(preloaded),
            cache = shared_buffers * 3,
        )
    }
}

/// The text of `pg_hba.conf`: whoever reaches the socket is trusted, and its directory lets in nobody else; over TCP a
/// password is asked for, which only the benchmark's user has.
pub(super) fn host_based_access() -> &'static str {
    "# Written by plimsoll at every start.\n\
     local all all trust\n\
     host all all 127.0.0.1/32 scram-sha-256\n"
}

/// 256 MiB where that is an eighth of the memory or less.
fn shared_buffers_mib(memory: Option<u64>) -> u64 {
    memory.map_or(128, |bytes| (bytes / 8 / MIB).clamp(16, 256))
}

/// A string as PostgreSQL's configuration files want it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n"))
}

/// The memory this process may use, in bytes: the machine's, or less by a cgroup's limit. Reads the kernel's files.
pub(super) fn memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_total(&text));
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    machine.into_iter().chain(limit).min()
}

fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings<'static> {
        Settings {
            socket_dir: "/run/it's, \"here\"",
            port: 5432,
            tcp: false,
            max_connections: 8,
            memory: Some(24 << 30),
            statement_statistics: false,
        }
    }

    #[test]
    fn a_socket_directory_of_any_name_is_one_directory() {
        let text = settings().text();
        assert!(text.contains("unix_socket_directories = '\"/run/it''s, \"\"here\"\"\"'\n"), "{text}");
    }

    #[test]
    fn tcp_is_off_unless_asked_for() {
        assert!(settings().text().contains("listen_addresses = ''\n"));
        assert!(Settings { tcp: true, ..settings() }.text().contains("listen_addresses = '127.0.0.1'\n"));
    }

    #[test]
    fn connections_have_room_and_a_floor() {
        assert_eq!(connections_for(8), 100);
        assert_eq!(connections_for(91), 101);
        assert_eq!(connections_for(u32::MAX), u32::MAX);
    }

    #[test]
    fn a_small_machine_gets_small_buffers() {
        assert_eq!(shared_buffers_mib(Some(24 << 30)), 256);
        assert_eq!(shared_buffers_mib(Some(512 << 20)), 64);
        assert_eq!(shared_buffers_mib(Some(64 << 20)), 16);
        assert_eq!(shared_buffers_mib(None), 128);
    }

    #[test]
    fn durability_is_what_the_docs_say() {
        let text = settings().text();
        assert!(text.contains("fsync = on") && text.contains("synchronous_commit = off"));
    }

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(memory_total("MemTotal:       24000000 kB\nMemFree: 1 kB\n"), Some(24_000_000 * 1024));
        assert_eq!(memory_total(""), None);
    }
}
