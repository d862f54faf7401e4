//! What held connections cost: user memory of our processes and of the server's, and the kernel's.
//!
//! **Invariant:** what cannot be read is left out, never taken for zero.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use serde::Serialize;

use crate::kernel::usage::{listening_processes, slab_usage, socket_usage, total_memory};

/// Bytes in use at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Anonymous memory of the processes that hold.
    pub client: Option<u64>,
    /// Anonymous memory of the processes that listen, where they are on this machine.
    pub server: Option<u64>,
    /// The kernel's slab, all of it.
    pub slab: Option<u64>,
    /// Buffers of TCP sockets.
    pub buffers: Option<u64>,
}

/// Whose memory is read.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    client: Vec<u32>,
    /// Processes of the server; empty where it is not on this machine or cannot be told.
    pub(super) server: Vec<u32>,
}

impl Watched {
    /// Finds the server's processes by who listens on the ports that are asked.
    pub(super) fn new(client: Vec<u32>, destinations: &[SocketAddr]) -> Self {
        let local = destinations.iter().filter(|address| is_of_this_machine(address.ip()));
        let mut server: Vec<u32> =
            local.filter_map(|address| listening_processes(address.port())).flatten().collect();
        server.sort_unstable();
        server.dedup();
        Self { client, server }
    }

    /// Reads all of them.
    pub(super) fn read(&self) -> Reading {
        let anonymous = |ids: &[u32]| {
            (!ids.is_empty()).then(|| total_memory(ids).map(|memory| memory.anonymous_bytes)).flatten()
        };
        Reading {
            client: anonymous(&self.client),
            server: anonymous(&self.server),
            slab: slab_usage().map(|slab| slab.total_bytes),
            buffers: socket_usage().map(|sockets| sockets.tcp_buffer_bytes),
        }
    }
}

/// Whether an address is one of this machine's: nothing else can be bound.
fn is_of_this_machine(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// Bytes for each connection; less than nothing where something else gave back more than they took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct PerConnection {
    /// User memory of the client.
    pub client_user: Option<i64>,
    /// User memory of the server.
    pub server_user: Option<i64>,
    /// The kernel's memory for all ends on this machine: slab and buffers.
    pub kernel: Option<i64>,
}

impl PerConnection {
    /// What was taken between two readings, divided by the connections opened in between.
    pub(super) fn between(before: &Reading, after: &Reading, connections: u64) -> Option<Self> {
        let connections = i64::try_from(connections).ok().filter(|&count| count > 0)?;
        let grown = |before: Option<u64>, after: Option<u64>| {
            Some(i64::try_from(after?).ok()? - i64::try_from(before?).ok()?)
        };
        let slab = grown(before.slab, after.slab);
        let buffers = grown(before.buffers, after.buffers);
        Some(Self {
            client_user: grown(before.client, after.client).map(|bytes| bytes / connections),
            server_user: grown(before.server, after.server).map(|bytes| bytes / connections),
            kernel: slab.zip(buffers).map(|(slab, buffers)| (slab + buffers) / connections),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_stays_unknown_and_the_rest_is_divided() {
        let before = Reading { client: Some(1_000), server: None, slab: Some(5_000), buffers: Some(0) };
        let after =
            Reading { client: Some(2_000), server: Some(9), slab: Some(25_000), buffers: Some(1_000) };
        let each = PerConnection::between(&before, &after, 10).unwrap();
        assert_eq!(each, PerConnection { client_user: Some(100), server_user: None, kernel: Some(2_100) });
        assert_eq!(PerConnection::between(&after, &before, 10).unwrap().client_user, Some(-100));
        assert_eq!(PerConnection::between(&before, &after, 0), None);
    }
}
