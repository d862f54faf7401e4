//! Replaces one process after the other: the new one serves before the old one leaves.
//!
//! **Invariant:** at any time at most one process has a child besides the one that serves and those that are leaving; where a
//! new child does not serve in time, the old one goes on.

use std::rc::Rc;

use tokio::time::Instant;

use super::channel::Order;
use super::child::{ChildId, Launch};
use super::{Event, Supervisor};

/// A reload under way.
#[derive(Debug)]
pub(super) struct Reload {
    launch: Rc<Launch>,
    /// The process that is being replaced.
    index: usize,
    stage: Stage,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Its successor is to be started.
    Begin,
    /// Its successor is to serve; it is killed where it does not in time.
    Readying,
    /// The one before, if there was one, is ending.
    Leaving(Option<ChildId>),
}

impl Reload {
    pub(super) fn new(launch: Launch) -> Self {
        Self { launch: Rc::new(launch), index: 0, stage: Stage::Begin }
    }
}

impl Supervisor {
    /// Takes a reload as far as it can go now.
    pub(super) fn go_on_reloading(&mut self) -> Option<Event> {
        loop {
            let reload = self.reload.as_ref()?;
            let (index, stage, launch) = (reload.index, reload.stage, Rc::clone(&reload.launch));
            if index == self.slots.len() {
                self.reload = None;
                tracing::info!("reload: done, all processes run on the new settings");
                return Some(Event::ReloadEnded { whole: true });
            }
            let stage = match stage {
                Stage::Begin => match self.spawn(index, &launch) {
                    Ok(child) => {
                        self.slots[index].start_at = None;
                        self.slots[index].successor = Some(child);
                        Stage::Readying
                    }
                    Err(error) => return Some(self.abandon(&format!("it cannot be started: {error}"))),
                },
                Stage::Readying => match &self.slots[index].successor {
                    None => return Some(self.abandon("it ended before it served")),
                    Some(child) if child.is_ready => {
                        let pid = child.pid;
                        let before = self.slots[index].hand_over();
                        tracing::info!("reload: process {index} is pid {pid} now");
                        Stage::Leaving(before)
                    }
                    Some(_) => return None,
                },
                Stage::Leaving(before) => {
                    if before.is_some_and(|before| self.slots[index].role(before).is_some()) {
                        return None;
                    }
                    if let Some(reload) = &mut self.reload {
                        reload.index += 1;
                    }
                    Stage::Begin
                }
            };
            if let Some(reload) = &mut self.reload {
                reload.stage = stage;
            }
        }
    }

    /// Ends a successor that does not serve, and leaves the rest as it is.
    fn abandon(&mut self, why: &str) -> Event {
        let index = self.reload.take().map_or(0, |reload| reload.index);
        let slot = &mut self.slots[index];
        if let Some(mut successor) = slot.successor.take() {
            successor.tell(Order::End);
            slot.leaving.push(successor);
        }
        if slot.serving.is_none() && slot.start_at.is_none() {
            slot.start_at = Some(Instant::now());
        }
        let replaced = match index {
            0 => "all processes go on with the settings that they had".to_owned(),
            _ => format!(
                "the processes below {index} run on the new settings, the others on those that they had"
            ),
        };
        tracing::error!("reload: abandoned at process {index}: {why}; {replaced}");
        Event::ReloadEnded { whole: false }
    }
}
