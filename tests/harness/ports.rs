//! Ports that nobody else takes while a test is not listening on them itself.
//!
//! **Invariant:** no port is given out twice by one process, and none lies in the range from which the kernel
//! picks the near end of outgoing connections.

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below Linux's default range of ephemeral ports, which starts at 32768.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// A port on 127.0.0.1 on which nothing listens.
pub(crate) fn unused_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        // Two test processes on one machine start far apart.
        let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(process::id().wrapping_mul(37));
        let port = u16::try_from(FIRST + step % COUNT).expect("the range ends below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port free between {FIRST} and {}", FIRST + COUNT)
}
