//! The settings of the kernel that connections meet, by their names in sysctl(8).
//!
//! **Invariant:** nothing but these is ever read, judged or set; a name from a file that is not here is refused.

/// One setting, an entry below `/proc/sys`. What each means is said where it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sysctl {
    /// Descriptors that a process's limit may be raised to.
    NrOpen,
    /// Files open on the whole machine.
    FileMax,
    /// Descriptors that one user's epoll sets may watch.
    EpollWatches,
    /// First and last port that the kernel gives to a client.
    PortRange,
    /// Pages of TCP buffers: where moderation ends, where it begins, and the most.
    TcpMem,
    /// Bytes of a receive buffer: least, at first, most.
    TcpRmem,
    /// Bytes of a send buffer: least, at first, most.
    TcpWmem,
    /// Connections that wait to be accepted from one listener.
    Somaxconn,
    /// Connections of one listener whose handshake is not finished.
    SynBacklog,
    /// Packets that wait for one core.
    NetdevBacklog,
    /// Connections that the firewall tracks.
    ConntrackMax,
    /// Closed connections that wait out their time.
    TimeWaitBuckets,
    /// Connections that no process holds any more.
    Orphans,
    /// Whether a client may take a port again that waits out its time: 0 never, 1 yes, 2 on the loopback.
    TimeWaitReuse,
    /// Whether what waits at a listener that closes moves to another of the same port: 0 or 1.
    MigrateRequests,
}

impl Sysctl {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 15] = [
        Self::NrOpen,
        Self::FileMax,
        Self::EpollWatches,
        Self::PortRange,
        Self::TcpMem,
        Self::TcpRmem,
        Self::TcpWmem,
        Self::Somaxconn,
        Self::SynBacklog,
        Self::NetdevBacklog,
        Self::ConntrackMax,
        Self::TimeWaitBuckets,
        Self::Orphans,
        Self::TimeWaitReuse,
        Self::MigrateRequests,
    ];

    /// Its name, as in `net.core.somaxconn`.
    pub fn key(self) -> &'static str {
        match self {
            Self::NrOpen => "fs.nr_open",
            Self::FileMax => "fs.file-max",
            Self::EpollWatches => "fs.epoll.max_user_watches",
            Self::PortRange => "net.ipv4.ip_local_port_range",
            Self::TcpMem => "net.ipv4.tcp_mem",
            Self::TcpRmem => "net.ipv4.tcp_rmem",
            Self::TcpWmem => "net.ipv4.tcp_wmem",
            Self::Somaxconn => "net.core.somaxconn",
            Self::SynBacklog => "net.ipv4.tcp_max_syn_backlog",
            Self::NetdevBacklog => "net.core.netdev_max_backlog",
            Self::ConntrackMax => "net.netfilter.nf_conntrack_max",
            Self::TimeWaitBuckets => "net.ipv4.tcp_max_tw_buckets",
            Self::Orphans => "net.ipv4.tcp_max_orphans",
            Self::TimeWaitReuse => "net.ipv4.tcp_tw_reuse",
            Self::MigrateRequests => "net.ipv4.tcp_migrate_req",
        }
    }

    /// The setting of that name, if it is one of these.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sysctl| sysctl.key() == key)
    }

    /// Its file, below the root of the file system.
    pub fn path(self) -> String {
        format!("proc/sys/{}", self.key().replace('.', "/"))
    }
}

/// Values as sysctl(8) writes them: numbers with a space between.
pub fn write_values(values: &[u64]) -> String {
    values.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

/// Reads what [`write_values`] or the kernel wrote; none where it is anything but numbers.
pub fn parse_values(text: &str) -> Option<Vec<u64>> {
    let values: Vec<u64> =
        text.split_whitespace().map(|word| word.parse().ok()).collect::<Option<Vec<u64>>>()?;
    (!values.is_empty()).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_setting_and_its_file() {
        for sysctl in Sysctl::ALL {
            assert_eq!(Sysctl::from_key(sysctl.key()), Some(sysctl));
        }
        assert_eq!(Sysctl::FileMax.path(), "proc/sys/fs/file-max");
        assert_eq!(Sysctl::from_key("kernel.core_pattern"), None);
    }

    #[test]
    fn values_are_numbers_and_nothing_else() {
        assert_eq!(parse_values("4096\t131072\t33554432\n"), Some(vec![4096, 131_072, 33_554_432]));
        assert_eq!(write_values(&[32_768, 60_999]), "32768 60999");
        for text in ["", "\n", "-1", "4096 many"] {
            assert_eq!(parse_values(text), None, "{text:?}");
        }
    }
}
