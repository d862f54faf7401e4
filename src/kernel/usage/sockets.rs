//! TCP's counters, from `/proc/net/sockstat` and `/proc/net/sockstat6` (`proc_net(5)`).
//!
//! **Invariant:** the counts are of this network namespace; the memory is of the whole machine, as the kernel keeps it.

use super::page_bytes;

/// TCP sockets and the memory of their buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketUsage {
    /// Sockets that are neither closed nor waiting out their time, IPv4 and IPv6; both ends count where both are here.
    pub tcp_in_use: u64,
    /// Sockets that no process holds any more.
    pub tcp_orphans: u64,
    /// Ports that wait out their time after a close.
    pub tcp_time_wait: u64,
    /// Memory of all TCP buffers, the count that `net.ipv4.tcp_mem` limits.
    pub tcp_buffer_bytes: u64,
}

/// TCP's counters now.
pub fn socket_usage() -> Option<SocketUsage> {
    let ipv4 = std::fs::read_to_string("/proc/net/sockstat").ok()?;
    // A kernel without IPv6 has no such file, and no such sockets.
    let ipv6 = std::fs::read_to_string("/proc/net/sockstat6").unwrap_or_default();
    parse(&ipv4, &ipv6, page_bytes())
}

fn parse(ipv4: &str, ipv6: &str, page_bytes: u64) -> Option<SocketUsage> {
    Some(SocketUsage {
        tcp_in_use: count(ipv4, "TCP", "inuse")? + count(ipv6, "TCP6", "inuse").unwrap_or(0),
        tcp_orphans: count(ipv4, "TCP", "orphan")?,
        tcp_time_wait: count(ipv4, "TCP", "tw")?,
        tcp_buffer_bytes: count(ipv4, "TCP", "mem")?.checked_mul(page_bytes)?,
    })
}

/// The number after `key` in the line of `protocol`.
fn count(text: &str, protocol: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(protocol)?.strip_prefix(':'))?;
    line.split_whitespace().skip_while(|word| *word != key).nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IPV4: &str = "sockets: used 12\nTCP: inuse 7 orphan 1 tw 3 alloc 9 mem 31\nUDP: inuse 0 mem 0\n";
    const IPV6: &str = "TCP6: inuse 2\nUDP6: inuse 5\n";

    #[test]
    fn both_families_count_and_pages_become_bytes() {
        let expected =
            SocketUsage { tcp_in_use: 9, tcp_orphans: 1, tcp_time_wait: 3, tcp_buffer_bytes: 31 * 4096 };
        assert_eq!(parse(IPV4, IPV6, 4096), Some(expected));
        assert_eq!(parse(IPV4, "", 4096), Some(SocketUsage { tcp_in_use: 7, ..expected }));
        assert_eq!(parse("sockets: used 12\n", IPV6, 4096), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_listener_of_this_test_is_counted() {
        let _listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        assert!(socket_usage().expect("the counters").tcp_in_use >= 1);
    }
}
