//! What one process can be asked: by the admin side in it, or by that of its supervisor over a [`channel`](super::channel).
//!
//! **Invariant:** answering never waits on a worker, but for a listing, which has its limit.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::listing::{Filter, Listing};
use super::snapshot::Process;

/// A process that can be asked.
pub trait Respondent: Send + Sync {
    /// Everything that it has counted, and how it is now.
    fn snapshot(&self) -> Process;

    /// Its connections; workers that do not answer in time are counted as silent.
    fn list(&self, filter: Filter) -> BoxFuture<'_, Listing>;

    /// Holds requests for the database back, or lets them go on.
    fn pause(&self, paused: bool);

    /// Gives its workers their share of so many database connections, counted over all processes.
    fn resize(&self, total: u32);
}

/// A question, or a change that was judged already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// As [`Respondent::snapshot`].
    Snapshot,
    /// As [`Respondent::list`].
    List(Filter),
    /// As [`Respondent::pause`].
    Pause(bool),
    /// As [`Respondent::resize`].
    Resize {
        /// Database connections over all processes.
        total: u32,
    },
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Question::Snapshot`]; also the first and the last word of a process, unasked.
    Snapshot(Box<Process>),
    /// To [`Question::List`].
    Listing(Box<Listing>),
    /// To a change.
    Done,
}

/// Asks.
pub async fn put(question: Question, to: &dyn Respondent) -> Reply {
    match question {
        Question::Snapshot => Reply::Snapshot(Box::new(to.snapshot())),
        Question::List(filter) => Reply::Listing(Box::new(to.list(filter).await)),
        Question::Pause(paused) => {
            to.pause(paused);
            Reply::Done
        }
        Question::Resize { total } => {
            to.resize(total);
            Reply::Done
        }
    }
}
