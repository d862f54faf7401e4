//! Several processes: the supervisor starts a child for each, restarts the dead, replaces them in a reload, and ends them.
//!
//! A child is this program again ([`child`]), with every setting in force as a flag, and its listeners and orders by a
//! [`channel`]. The supervisor opens no connection of a client itself: `commands::serve` owns it, asks it for the next [`Event`],
//! and tells it to stop or to reload.
//!
//! **Invariant:** every listener stays open in the supervisor until a stop, so that connections wait in the kernel while a process
//! is being replaced; and no child outlives the supervisor: at the end of its channel it drains and ends.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::database::Reach;
use crate::server::{Placement, Stop};

mod channel;
mod child;
mod reload;
mod slot;

pub(crate) use channel::{Order, Received, Report, Superior, receive};
pub(crate) use child::Launch;

use child::{Child, ChildId, News, Notice, READY_PATIENCE};
use reload::Reload;
use slot::{Role, Slot};

/// What the owner hears of.
#[derive(Debug)]
pub(crate) enum Event {
    /// All processes serve for the first time, or have had their time to; what the system made of their workers' placement.
    Serving(Placement),
    /// In that time not one process has served.
    NeverServed,
    /// A reload has ended, well or not; what it says is logged.
    ReloadEnded {
        /// Whether all processes run on the new settings.
        whole: bool,
    },
    /// All processes have ended after a stop.
    Ended {
        /// Whether each of them ended well.
        well: bool,
    },
}

/// Several processes and what is going on with them.
pub(crate) struct Supervisor {
    slots: Vec<Slot>,
    notices: mpsc::UnboundedReceiver<Notice>,
    notify: mpsc::UnboundedSender<Notice>,
    /// Takes our ends of the children's telemetry channels.
    newcomers: mpsc::UnboundedSender<UnixStream>,
    /// Hears what the children say of the database.
    reach: Arc<Reach>,
    next_id: u64,
    /// Until when the first children may take, before it is said that they serve.
    first_by: Option<Instant>,
    /// Those of the children that were ready by then.
    placements: Vec<Placement>,
    reload: Option<Reload>,
    stopping: bool,
    all_well: bool,
}

impl Supervisor {
    /// Makes a place for each process; their children are started by [`Supervisor::next`].
    pub(crate) fn new(
        launch: Launch,
        listeners: impl Iterator<Item = Vec<TcpListener>>,
        newcomers: mpsc::UnboundedSender<UnixStream>,
        reach: Arc<Reach>,
    ) -> Self {
        let launch = Rc::new(launch);
        let (notify, notices) = mpsc::unbounded_channel();
        Self {
            slots: listeners.map(|listeners| Slot::new(listeners, Rc::clone(&launch))).collect(),
            notices,
            notify,
            newcomers,
            reach,
            next_id: 0,
            first_by: Some(Instant::now() + READY_PATIENCE),
            placements: Vec::new(),
            reload: None,
            stopping: false,
            all_well: true,
        }
    }

    /// Keeps the processes until there is something to tell. May be dropped half-way and called again.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.act() {
                return event;
            }
            let due = self.next_due();
            let notice = tokio::select! {
                notice = self.notices.recv() => notice,
                () = sleep_until(due) => None,
            };
            if let Some(Notice { child, news }) = notice {
                self.hear(child, news);
            }
        }
    }

    /// Process ids of those who serve, in the order of their indices.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.slots.iter().filter_map(|slot| Some(slot.serving.as_ref()?.pid)).collect()
    }

    /// Names the processes of which an event loop, or the main one, has not turned since the last look, and asks all again. Those that do
    /// not serve yet have their own time to.
    pub(crate) fn look_at_beats(&mut self) -> Vec<String> {
        let serving = self.slots.iter_mut().map(|slot| slot.serving.as_mut()).enumerate();
        let ready = serving.filter_map(|(index, child)| Some((index, child.filter(|child| child.is_ready)?)));
        ready
            .filter_map(|(index, child)| {
                (!child.beats()).then(|| format!("process {index} (pid {})", child.pid))
            })
            .collect()
    }

    /// Whether a reload is under way.
    pub(crate) fn is_reloading(&self) -> bool {
        self.reload.is_some()
    }

    /// Whether it was told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Starts children in this way from now on; those that run stay as they are.
    pub(crate) fn launch_next_by(&mut self, launch: Launch) {
        let launch = Rc::new(launch);
        for slot in &mut self.slots {
            slot.launch = Rc::clone(&launch);
        }
    }

    /// Begins to replace one process after the other.
    pub(crate) fn begin_reload(&mut self, launch: Launch) {
        self.reload = Some(Reload::new(launch));
    }

    /// Tells all children to end, gently or at once, and closes the listeners.
    pub(crate) fn stop(&mut self, stop: Stop) {
        let order = if stop == Stop::Now { Order::End } else { Order::Drain };
        let is_first = !std::mem::replace(&mut self.stopping, true);
        self.reload = None;
        self.first_by = None;
        for index in 0..self.slots.len() {
            self.slots[index].start_at = None;
            if is_first && order == Order::Drain && !self.slots[index].has_listener() {
                self.start_to_drain(index);
            }
            let slot = &mut self.slots[index];
            slot.children().for_each(|child| child.tell(order));
            // After the order: the children hold the listeners until they have emptied their backlogs.
            slot.listeners.clear();
        }
    }

    /// Starts a child for its backlog alone, where a process has none that would empty it.
    fn start_to_drain(&mut self, index: usize) {
        let launch = Rc::clone(&self.slots[index].launch);
        match self.spawn(index, &launch) {
            Ok(child) => self.slots[index].serving = Some(child),
            Err(error) => {
                self.all_well = false;
                tracing::error!(
                    "process {index} cannot be started for what waits in its backlog, which is lost: {error}"
                );
            }
        }
    }

    /// Does everything that is due by now; gives what there is to tell.
    fn act(&mut self) -> Option<Event> {
        let now = Instant::now();
        for index in 0..self.slots.len() {
            for child in
                self.slots[index].children().filter(|child| child.kill_at.is_some_and(|at| at <= now))
            {
                let (pid, why) = (child.pid, child.kill());
                tracing::warn!("process {index} (pid {pid}) {why}");
            }
            if self.slots[index].start_at.is_some_and(|at| at <= now) {
                self.slots[index].start_at = None;
                self.start(index);
            }
        }
        if self.stopping {
            let ended = self.slots.iter().all(Slot::is_empty);
            return ended.then_some(Event::Ended { well: self.all_well });
        }
        self.first_ready(now).or_else(|| self.go_on_reloading())
    }

    /// That all serve for the first time, or none does, is said once.
    fn first_ready(&mut self, now: Instant) -> Option<Event> {
        let is_ready = |slot: &Slot| slot.serving.as_ref().is_some_and(|child| child.is_ready);
        let by = self.first_by?;
        if by > now && !self.slots.iter().all(is_ready) {
            return None;
        }
        self.first_by = None;
        let placements = std::mem::take(&mut self.placements);
        if placements.is_empty() {
            return Some(Event::NeverServed);
        }
        let all = |pick: fn(&Placement) -> bool| placements.iter().all(pick);
        Some(Event::Serving(Placement { batch: all(|one| one.batch), pinned: all(|one| one.pinned) }))
    }

    fn next_due(&mut self) -> Option<Instant> {
        self.slots.iter_mut().filter_map(Slot::next_due).chain(self.first_by).min()
    }

    fn start(&mut self, index: usize) {
        let launch = Rc::clone(&self.slots[index].launch);
        match self.spawn(index, &launch) {
            Ok(child) => self.slots[index].serving = Some(child),
            Err(error) => {
                let wait = self.slots[index].plan_restart(Duration::ZERO);
                tracing::error!("process {index} cannot be started: {error}; trying again in {wait:?}");
            }
        }
    }

    fn spawn(&mut self, index: usize, launch: &Rc<Launch>) -> std::io::Result<Child> {
        let id = ChildId(self.next_id);
        self.next_id += 1;
        let (child, questions) = Child::start(launch, index, id, &self.slots[index].listeners, &self.notify)?;
        // Nobody takes it where there is no admin side; the child sees its end then.
        let _ = self.newcomers.send(questions);
        Ok(child)
    }

    fn hear(&mut self, child: ChildId, news: News) {
        let find = |(index, slot): (usize, &Slot)| Some((index, slot.role(child)?));
        let Some((index, role)) = self.slots.iter().enumerate().find_map(find) else { return };
        match news {
            News::Reported(Report::Ready(placement)) => {
                if let Some(ready) = self.slots[index].children().find(|other| other.id == child) {
                    ready.note_ready();
                }
                if self.first_by.is_some() {
                    self.placements.push(placement);
                }
                if role == Role::Serving && self.first_by.is_none() && !self.stopping {
                    tracing::info!("process {index} serves again");
                }
            }
            News::Reported(Report::Leaving) if role == Role::Serving && !self.stopping => {
                if let Some(lived) = self.slots[index].let_go() {
                    self.replace(index, lived, "is leaving");
                }
            }
            News::Reported(Report::Leaving) => {}
            News::Reported(Report::Turning) => {
                if let Some(other) = self.slots[index].children().find(|other| other.id == child) {
                    other.turns = true;
                }
            }
            News::Reported(Report::Database(word)) => self.reach.hear(child.0, word),
            News::Ended(status) => self.bury(index, child, role, status),
        }
    }

    /// Notes the end of a child, and plans another where one is wanted.
    fn bury(&mut self, index: usize, child: ChildId, role: Role, status: Option<ExitStatus>) {
        self.reach.forget(child.0);
        let Some(child) = self.slots[index].remove(child) else { return };
        let well = status.is_some_and(|status| status.success());
        let how = status.map_or_else(|| "nobody knows how".to_owned(), |status| status.to_string());
        match role {
            Role::Serving if !self.stopping => {
                let how = format!("(pid {}) is gone: {how}", child.pid);
                self.replace(index, child.lived(), &how);
            }
            // The reload sees that it is not there any more.
            Role::Successor if !self.stopping => {
                tracing::error!("process {index} (pid {}) ended before it served: {how}", child.pid);
            }
            _ if !well => {
                self.all_well &= !self.stopping;
                tracing::warn!("process {index} (pid {}) did not end well: {how}", child.pid);
            }
            _ => {}
        }
    }

    /// Plans another child, unless a successor is about to serve anyway.
    fn replace(&mut self, index: usize, lived: Duration, why: &str) {
        if self.slots[index].successor.is_some() {
            tracing::warn!("process {index} {why}; its successor is starting");
            return;
        }
        let wait = self.slots[index].plan_restart(lived);
        if wait.is_zero() {
            tracing::warn!("process {index} {why}; starting another");
        } else {
            tracing::warn!("process {index} {why}; starting another in {wait:?}");
        }
    }
}

/// Waits until then, or for good.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
