//! Which processes listen on a port of this machine: the socket's inode from `/proc/net/tcp`, then who has it open.
//!
//! The kernel lists listening sockets before all others (`tcp_get_idx` in its `net/ipv4/tcp_ipv4.c`), so that reading ends
//! with them, and a million connections behind them cost nothing. Who has a socket open is asked of every process's
//! descriptors; ask before you open many.
//!
//! **Invariant:** another user's process that may not be looked into is not found, and nothing is said in its stead.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};

/// The state `TCP_LISTEN` in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// Descriptors of one process that are looked at, the lowest first: a server opens its listeners before it takes connections, and another
/// process may hold a million of those.
const LOOKED_AT: usize = 4096;

/// The processes that hold a listening socket of this port, in order; not known where that cannot be read at all.
///
/// A supervisor that keeps its children's listeners is among them.
pub fn listening_processes(port: u16) -> Option<Vec<u32>> {
    let mut inodes = inodes_of(BufReader::new(File::open("/proc/net/tcp").ok()?), port);
    // A kernel without IPv6 has no such file, and no such sockets.
    if let Ok(file) = File::open("/proc/net/tcp6") {
        inodes.extend(inodes_of(BufReader::new(file), port));
    }
    if inodes.is_empty() {
        return Some(Vec::new());
    }
    let links: BTreeSet<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let holders: BTreeSet<u32> = pids.filter(|pid| holds_any(*pid, &links)).collect();
    Some(holders.into_iter().collect())
}

/// Inodes of the sockets that listen on a port, from the first rows of a table such as `/proc/net/tcp`.
fn inodes_of(table: impl BufRead, port: u16) -> BTreeSet<u64> {
    let rows = table.lines().map_while(Result::ok).skip(1);
    let rows = rows.map_while(|row| listening_row(&row));
    rows.filter(|(listens_on, _)| *listens_on == port).map(|(_, inode)| inode).collect()
}

/// Port and inode of a listening socket's row; none for the first row of another kind.
fn listening_row(row: &str) -> Option<(u16, u64)> {
    let words: Vec<&str> = row.split_whitespace().take(10).collect();
    let [_, local, _, state, .., inode] = words[..] else { return None };
    let (_, port) = local.rsplit_once(':')?;
    (state == LISTENING).then_some((u16::from_str_radix(port, 16).ok()?, inode.parse().ok()?))
}

/// Whether a process has one of these sockets open; one that has ended meanwhile has not.
fn holds_any(pid: u32, links: &BTreeSet<String>) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let targets =
        descriptors.flatten().take(LOOKED_AT).filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.into_iter().any(|target| target.to_str().is_some_and(|target| links.contains(target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 582 1 00000000e8355ef7 100 0 0 10 0
   1: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 583 1 00000000e8355ef7 100 0 0 10 0
   2: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 584 1 00000000e8355ef7 100 0 0 10 0
   3: 0100007F:1F90 0100007F:AC12 01 00000000:00000000 00:00000000 00000000     0        0 585 1 00000000e8355ef7 100 0 0 10 0
   4: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 586 1 00000000e8355ef7 100 0 0 10 0
";

    #[test]
    fn every_listener_of_the_port_is_found_and_reading_ends_with_the_listeners() {
        assert_eq!(inodes_of(TABLE.as_bytes(), 8080), BTreeSet::from([582, 584]));
        assert_eq!(inodes_of(TABLE.as_bytes(), 2024), BTreeSet::from([583]));
        assert_eq!(inodes_of(TABLE.as_bytes(), 81), BTreeSet::new());
        assert_eq!(inodes_of(&b""[..], 81), BTreeSet::new());
    }

    #[test]
    fn an_address_of_ipv6_is_read_too() {
        let row = "0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A \
                   00000000:00000000 00:00000000 00000000     0        0 9113 1 0000000000000000 100 0 0 10 0";
        assert_eq!(listening_row(row), Some((8080, 9113)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_found_by_its_port_while_it_listens() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine without IPv6 has only the first.
            let Ok(listener) = std::net::TcpListener::bind(address) else { continue };
            let port = listener.local_addr().expect("its address").port();
            // Another test's child may hold a copy until it becomes another program.
            let found = listening_processes(port).expect("a readable table");
            assert!(found.contains(&std::process::id()), "{address}: {found:?}");
            drop(listener);
            let left = listening_processes(port).expect("a readable table");
            assert!(!left.contains(&std::process::id()), "{address}: {left:?}");
        }
    }
}
