//! The connection as such: pipelining, bytes cut anywhere, old versions, half-closed clients, and clients too slow.
//!
//! **Invariant:** what is written here is bytes, and what is expected is the order and the count of answers.

mod cutting;
mod descriptors;
mod framing;
mod full;
mod limits;
mod parking;
mod pipelining;
mod timeouts;
mod versions;
