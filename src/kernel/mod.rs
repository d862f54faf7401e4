//! What the kernel says of itself and of our connections: `plimsoll doctor`'s knowledge, and the load generator's.
//!
//! [`read`] reads the limits into [`facts`], and [`judge`] says what they mean for a number of connections. [`sysctl`]
//! names the settings. [`ports`] says how much of a range of ports counts. [`usage`] reads what is in use now: memory of processes, of the kernel's sockets, and who listens.
//!
//! **Invariant:** a leaf. Where a reading cannot be had, as on a system that is not Linux, it is "not known", never zero.

pub mod facts;
pub mod judge;
pub mod ports;
pub mod read;
pub mod sysctl;
pub mod usage;
