//! What the kernel says of itself and of our connections.
//!
//! [`usage`] reads what is in use now: memory of processes, of the kernel's sockets, and who listens.
//!
//! **Invariant:** a leaf. Where a reading cannot be had, as on a system that is not Linux, it is "not known", never zero.

pub mod usage;
