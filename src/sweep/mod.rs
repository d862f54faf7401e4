//! The sweep: which setting serves best, found by measuring a grid of them, and why.
//!
//! [`grid`] lays the points out; [`schedule`] visits them round by round with whoever can [`Measure`](schedule::Measure), which is
//! [`real`] but in tests; [`journal`] keeps every reading as it is made; [`summary`] puts readings together by [`statistics`], and
//! [`knee`] names the point to stay at; [`report`] writes it all down, with drawings by [`chart`]. [`delay`] is the process that
//! makes PostgreSQL far away.
//!
//! **Invariant:** grid, schedule, statistics, knee and report know no clock, process or socket: what they say follows from readings.

pub(crate) mod chart;
pub(crate) mod delay;
pub(crate) mod grid;
pub(crate) mod journal;
pub(crate) mod knee;
pub(crate) mod real;
pub(crate) mod report;
pub(crate) mod schedule;
pub(crate) mod statistics;
pub(crate) mod summary;
