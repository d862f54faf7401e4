//! One process's place: its listeners, the child that serves, and those before and after it.
//!
//! **Invariant:** a place keeps its listeners open whoever comes and goes, until the service stops.

use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::channel::Order;
use super::child::{Child, ChildId, Launch};
use crate::server::Restart;

/// What a child is to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It serves, or is to as soon as it is ready.
    Serving,
    /// It is started with other settings, and serves once it is ready.
    Successor,
    /// It was told to end.
    Leaving,
}

/// The place of one process.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) listeners: Vec<TcpListener>,
    /// How the next child is started.
    pub(super) launch: Rc<Launch>,
    pub(super) serving: Option<Child>,
    pub(super) successor: Option<Child>,
    pub(super) leaving: Vec<Child>,
    /// When the next child is started, where one is wanted.
    pub(super) start_at: Option<Instant>,
    restart: Restart,
}

impl Slot {
    pub(super) fn new(listeners: Vec<TcpListener>, launch: Rc<Launch>) -> Self {
        Self {
            listeners,
            launch,
            serving: None,
            successor: None,
            leaving: Vec::new(),
            start_at: Some(Instant::now()),
            restart: Restart::default(),
        }
    }

    pub(super) fn children(&mut self) -> impl Iterator<Item = &mut Child> {
        self.serving.iter_mut().chain(&mut self.successor).chain(&mut self.leaving)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.serving.is_none() && self.successor.is_none() && self.leaving.is_empty()
    }

    /// Whether a child takes what comes to the listeners, or is about to.
    pub(super) fn has_listener(&self) -> bool {
        self.serving.is_some() || self.successor.is_some()
    }

    /// When something is to be done here next.
    pub(super) fn next_due(&mut self) -> Option<Instant> {
        let start_at = self.start_at;
        self.children().filter_map(|child| child.kill_at).chain(start_at).min()
    }

    pub(super) fn role(&self, id: ChildId) -> Option<Role> {
        let is = |child: &Child| child.id == id;
        if self.serving.as_ref().is_some_and(is) {
            Some(Role::Serving)
        } else if self.successor.as_ref().is_some_and(is) {
            Some(Role::Successor)
        } else {
            self.leaving.iter().any(is).then_some(Role::Leaving)
        }
    }

    /// Takes a child out that has ended.
    pub(super) fn remove(&mut self, id: ChildId) -> Option<Child> {
        let is = |child: &Child| child.id == id;
        if let Some(at) = self.leaving.iter().position(is) {
            return Some(self.leaving.swap_remove(at));
        }
        if self.successor.as_ref().is_some_and(is) {
            return self.successor.take();
        }
        if self.serving.as_ref().is_some_and(is) { self.serving.take() } else { None }
    }

    /// Plans another child in the place of one that lived for so long; gives the wait.
    pub(super) fn plan_restart(&mut self, lived: Duration) -> Duration {
        let wait = self.restart.after(lived);
        self.start_at = Some(Instant::now() + wait);
        wait
    }

    /// The serving child asks to leave, and may: another is to have its listeners. Gives how long it lived.
    pub(super) fn let_go(&mut self) -> Option<Duration> {
        let mut child = self.serving.take()?;
        child.tell(Order::Retire);
        let lived = child.lived();
        self.leaving.push(child);
        Some(lived)
    }

    /// The successor serves from here on; gives the one before it, which is told to retire.
    pub(super) fn hand_over(&mut self) -> Option<ChildId> {
        let successor = self.successor.take()?;
        self.launch = Rc::clone(&successor.launch);
        self.start_at = None;
        let before = self.serving.replace(successor);
        before.map(|mut before| {
            let id = before.id;
            before.tell(Order::Retire);
            self.leaving.push(before);
            id
        })
    }
}
