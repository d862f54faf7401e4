//! The processes that are looked at: this one, or the children of this one.
//!
//! **Invariant:** what a process has counted is in the sum from its first word on and for good: while it is silent, and when it has
//! ended, with what it said last.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use crate::telemetry::channel::Member;
use crate::telemetry::hosts::Ended;
use crate::telemetry::listing::{Filter, Listing};
use crate::telemetry::questions::{Question, Reply, Respondent};
use crate::telemetry::snapshot::{Process, Totals};

/// How long a child may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it may take to list its connections, for which it waits on its workers.
const LISTING_PATIENCE: Duration = Duration::from_secs(2);

/// The supervisor's end of a child's channel, as it is handed to the admin side.
pub type NewMember = UnixStream;

/// Whom to look at.
pub enum Ground {
    /// This process.
    One(Arc<dyn Respondent>),
    /// Its children, as they come.
    Several(mpsc::UnboundedReceiver<NewMember>),
}

/// All that are looked at.
pub(super) enum Processes {
    One(Arc<dyn Respondent>),
    Several(Rc<Crew>),
}

/// The children.
#[derive(Default)]
pub(super) struct Crew {
    members: RefCell<Vec<Rc<Member>>>,
    ended: RefCell<Totals>,
    ended_reads: RefCell<Ended>,
    /// Whether those who come are to be held back too.
    paused: Cell<bool>,
}

impl Processes {
    /// Must be made on the admin side's own event loop.
    pub(super) fn new(ground: Ground) -> Self {
        match ground {
            Ground::One(respondent) => Self::One(respondent),
            Ground::Several(newcomers) => {
                let crew = Rc::new(Crew::default());
                tokio::task::spawn_local(Rc::clone(&crew).welcome(newcomers));
                Self::Several(crew)
            }
        }
    }

    /// All processes as they are now, and what those that have ended had counted.
    pub(super) async fn look(&self) -> (Vec<Process>, (Totals, Ended)) {
        match self {
            Self::One(respondent) => (vec![respondent.snapshot()], <_>::default()),
            Self::Several(crew) => crew.look().await,
        }
    }

    /// The connections of all.
    pub(super) async fn list(&self, filter: Filter) -> Listing {
        match self {
            Self::One(respondent) => respondent.list(filter).await,
            Self::Several(crew) => crew.list(&filter).await,
        }
    }

    /// Has children take their shares of so many database connections; this process has, when its own pools were judged.
    pub(super) async fn pass_on(&self, total: u32) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Several(crew) => crew.tell(Question::Resize { total }).await,
        }
    }

    /// Has all make a change; gives the number of those that did not answer.
    pub(super) async fn tell(&self, change: Question) -> usize {
        match self {
            Self::One(respondent) => {
                crate::telemetry::questions::put(change, respondent.as_ref()).await;
                0
            }
            Self::Several(crew) => crew.tell(change).await,
        }
    }
}

impl Crew {
    async fn welcome(self: Rc<Self>, mut newcomers: mpsc::UnboundedReceiver<NewMember>) {
        while let Some(channel) = newcomers.recv().await {
            let crew = Rc::clone(&self);
            let member = match Member::begin(channel, move |member| crew.bury(member)) {
                Ok(member) => member,
                Err(error) => {
                    tracing::warn!("a process cannot be looked at: {error}");
                    continue;
                }
            };
            self.members.borrow_mut().push(Rc::clone(&member));
            if self.paused.get() {
                tokio::task::spawn_local(async move { member.ask(Question::Pause(true), PATIENCE).await });
            }
        }
    }

    fn bury(&self, member: &Rc<Member>) {
        self.members.borrow_mut().retain(|other| !Rc::ptr_eq(other, member));
        let mut ended = self.ended.borrow_mut();
        for worker in member.last().iter().flat_map(|process| &process.workers) {
            ended.add(&worker.totals.ended());
        }
        let living: Vec<Process> = self.members().iter().filter_map(|member| member.last()).collect();
        let had = member.last().map(|process| process.hosts).unwrap_or_default();
        self.ended_reads.borrow_mut().add(&had, living.iter().flat_map(|process| &process.hosts));
    }

    fn members(&self) -> Vec<Rc<Member>> {
        self.members.borrow().clone()
    }

    async fn look(&self) -> (Vec<Process>, (Totals, Ended)) {
        let members = self.members();
        let asked = members.iter().map(|member| member.ask(Question::Snapshot, PATIENCE));
        let answered: Vec<bool> = join_all(asked).await.iter().map(Option::is_some).collect();
        // Read now, all at once: a member that ended meanwhile is among the ended, and in no list.
        let mut processes: Vec<Process> = Vec::new();
        for member in self.members.borrow().iter() {
            let asked = members.iter().position(|other| Rc::ptr_eq(other, member));
            if let Some(mut process) = member.last() {
                process.silent = asked.is_some_and(|at| !answered[at]);
                processes.push(process);
            }
        }
        processes.sort_by_key(|process| (process.index, process.draining, process.pid));
        (processes, (self.ended.borrow().clone(), self.ended_reads.borrow().clone()))
    }

    async fn list(&self, filter: &Filter) -> Listing {
        let members = self.members();
        let asked = members.iter().map(|member| member.ask(Question::List(filter.clone()), LISTING_PATIENCE));
        let replies = join_all(asked).await;
        let mut all = Listing::default();
        for (member, reply) in members.iter().zip(replies) {
            if let Some(Reply::Listing(listing)) = reply {
                all.add(*listing, filter.rows);
            } else {
                let workers = member.last().map_or(0, |process| process.workers.len());
                all.silent_workers += u32::try_from(workers).unwrap_or(u32::MAX);
            }
        }
        all
    }

    async fn tell(&self, change: Question) -> usize {
        if let Question::Pause(paused) = change {
            self.paused.set(paused);
        }
        let members = self.members();
        let told = join_all(members.iter().map(|member| member.ask(change.clone(), PATIENCE))).await;
        told.iter().filter(|reply| reply.is_none()).count()
    }
}
