//! The kernel's own memory for sockets and files: `Slab` of `/proc/meminfo`, and each cache of `/proc/slabinfo` (slabinfo(5)).
//!
//! **Invariant:** a cache's bytes are the pages it holds, free places included, since nobody else can use those.

use super::{kibibytes, page_bytes};

/// The caches that a connection is in: its socket, the file and inode before it, its place in an epoll set, its tracking.
const CACHES_OF_A_CONNECTION: [&str; 10] = [
    "TCP",
    "TCPv6",
    "sock_inode_cache",
    "filp",
    "dentry",
    "eventpoll_epi",
    "eventpoll_pwq",
    "nf_conntrack",
    "request_sock_TCP",
    "tw_sock_TCP",
];

/// What the kernel's caches hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlabUsage {
    /// All caches together, whatever they are for.
    pub total_bytes: u64,
    /// The caches that a connection is in. Only root may read them; a kernel that merges caches of one size shows fewer.
    pub caches: Option<Vec<SlabCache>>,
}

/// One cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlabCache {
    /// The kernel's name for it.
    pub name: String,
    /// Objects in use.
    pub objects: u64,
    /// Size of one object.
    pub object_bytes: u64,
    /// All the pages that it holds.
    pub bytes: u64,
}

/// What the kernel's caches hold now.
pub fn slab_usage() -> Option<SlabUsage> {
    let total_bytes = kibibytes(&std::fs::read_to_string("/proc/meminfo").ok()?, "Slab")?;
    let caches = std::fs::read_to_string("/proc/slabinfo").ok().map(|text| parse_caches(&text, page_bytes()));
    Some(SlabUsage { total_bytes, caches })
}

fn parse_caches(text: &str, page_bytes: u64) -> Vec<SlabCache> {
    let known = |cache: &SlabCache| CACHES_OF_A_CONNECTION.contains(&cache.name.as_str());
    text.lines().filter_map(|line| parse_cache(line, page_bytes)).filter(known).collect()
}

/// `name active_objs num_objs objsize objperslab pagesperslab : tunables … : slabdata active_slabs num_slabs sharedavail`
fn parse_cache(line: &str, page_bytes: u64) -> Option<SlabCache> {
    let (counts, slabdata) = line.split_once(" : slabdata")?;
    let mut words = counts.split_whitespace();
    let name = words.next()?.to_owned();
    let mut number = || words.next()?.parse::<u64>().ok();
    let (objects, _, object_bytes, _, pages_each) = (number()?, number()?, number()?, number()?, number()?);
    let slabs: u64 = slabdata.split_whitespace().nth(1)?.parse().ok()?;
    Some(SlabCache { name, objects, object_bytes, bytes: slabs * pages_each * page_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLABINFO: &str = "slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>
tw_sock_TCPv6          0      0    256   16    1 : tunables    0    0    0 : slabdata      0      0      0
TCP                   26     39   2368   13    8 : tunables    0    0    0 : slabdata      2      3      0
kmalloc-64           100    100     64   64    1 : tunables    0    0    0 : slabdata      2      2      0
filp                 516    546    192   21    1 : tunables    0    0    0 : slabdata     26     26      0
broken               516    546    192
";

    #[test]
    fn the_caches_of_a_connection_are_read_with_the_pages_they_hold() {
        let caches = parse_caches(SLABINFO, 4096);
        let tcp = SlabCache { name: "TCP".into(), objects: 26, object_bytes: 2368, bytes: 3 * 8 * 4096 };
        let filp = SlabCache { name: "filp".into(), objects: 516, object_bytes: 192, bytes: 26 * 4096 };
        assert_eq!(caches, [tcp, filp]);
        assert_eq!(parse_caches("", 4096), []);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_kernel_says_what_its_caches_hold() {
        let usage = slab_usage().expect("the size of the slab");
        let caches = usage.caches.unwrap_or_default();
        assert!(usage.total_bytes > 0);
        assert!(caches.iter().all(|cache| cache.bytes >= cache.objects * cache.object_bytes), "{caches:?}");
    }
}
