//! From what is measured to what should be set.
//!
//! [`littles_law`] says how many requests and database connections must be in flight at a measured rate and wait; [`controller`] finds how
//! many connections a worker should have by trying; [`backlog`] how much may stand before one.
//!
//! **Invariant:** what judges is pure, and says what it presumes.

pub mod backlog;
pub mod controller;
pub mod littles_law;
