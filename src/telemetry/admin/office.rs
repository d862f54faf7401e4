//! What the admin side knows: samples taken as time passes, and one taken whenever somebody asks.
//!
//! **Invariant:** what is shown is counted up to the moment of the question, and nothing that was shown once is ever less.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, watch};

use super::change::Change;
use super::crew::Processes;
use crate::telemetry::hosts::Ended;
use crate::telemetry::snapshot::Totals;
use crate::telemetry::status::work_out::{point, reasons, work_out};
use crate::telemetry::status::{Point, Sample, Service, Status, notice};

/// Points that the history holds at the most.
const MOST_POINTS: usize = 300;
/// Time between samples while somebody looks on.
const WATCHED: Duration = Duration::from_secs(1);
/// Time between samples otherwise.
const UNWATCHED: Duration = Duration::from_secs(10);
/// Somebody who asked within this time looks on.
const LOOKS_ON: Duration = Duration::from_mins(1);
/// Rates are of at least this long, once there is as much.
const LEAST_WHILE: Duration = Duration::from_secs(1);
/// Samples that are kept: the last one may be too young to compare with.
const KEPT: usize = 3;
/// How long the answer to whether the database is reached holds.
const PROBED_LATELY: Duration = Duration::from_secs(1);

/// Asks whether the database is reached, on a connection of its own; why not, for people.
pub type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// All that the admin side's tasks share.
pub(super) struct Office {
    pub(super) service: watch::Receiver<Service>,
    pub(super) processes: Processes,
    pub(super) changes: mpsc::Sender<Change>,
    probe: Probe,
    probed: RefCell<Option<(Instant, Result<(), String>)>>,
    began: Instant,
    samples: RefCell<VecDeque<Rc<Sample>>>,
    history: RefCell<VecDeque<Point>>,
    asked: Cell<Option<Instant>>,
    /// Wakes the sampler when somebody begins to look on.
    watched: Notify,
}

impl Office {
    pub(super) fn new(
        service: watch::Receiver<Service>,
        processes: Processes,
        changes: mpsc::Sender<Change>,
        probe: Probe,
    ) -> Self {
        let nothing = Sample {
            at_ns: 0,
            at_unix_ms: unix_ms(),
            processes: Vec::new(),
            ended: Totals::default(),
            ended_reads: Ended::default(),
        };
        Self {
            service,
            processes,
            changes,
            probe,
            probed: RefCell::default(),
            began: Instant::now(),
            samples: RefCell::new(VecDeque::from([Rc::new(nothing)])),
            history: RefCell::default(),
            asked: Cell::new(None),
            watched: Notify::new(),
        }
    }

    /// Takes samples for as long as it is polled.
    pub(super) async fn keep_sampling(&self) {
        loop {
            let is_watched = self.asked.get().is_some_and(|at| at.elapsed() < LOOKS_ON);
            let rest = tokio::time::sleep(if is_watched { WATCHED } else { UNWATCHED });
            tokio::select! {
                () = rest => {}
                () = self.watched.notified() => continue,
            }
            let sample = Rc::new(self.sample().await);
            let mut samples = self.samples.borrow_mut();
            if let Some(before) = samples.back() {
                push(&mut self.history.borrow_mut(), point(before, &sample), MOST_POINTS);
            }
            push(&mut samples, sample, KEPT);
        }
    }

    /// Everything there is to show.
    pub(super) async fn status(&self) -> Status {
        if self.asked.replace(Some(Instant::now())).is_none_or(|at| at.elapsed() >= LOOKS_ON) {
            self.watched.notify_one();
        }
        let now = self.judged().await;
        let history = self.history.borrow().iter().cloned().collect();
        work_out(&self.service.borrow(), &self.earlier(&now), &now, history)
    }

    /// Why the service should get no requests now; else what is amiss with the database all the same.
    pub(super) async fn readiness(&self) -> Result<Option<String>, Vec<String>> {
        let now = self.judged().await;
        let reasons = reasons(&now);
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let mut serving = now.processes.iter().filter(|process| !process.draining && !process.silent);
        let trouble = serving.find_map(|process| process.database_trouble.clone());
        Ok(trouble.or_else(|| notice(&now)))
    }

    /// All processes as they are now.
    pub(super) async fn sample(&self) -> Sample {
        let (processes, (ended, ended_reads)) = self.processes.look().await;
        let at_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Sample { at_ns, at_unix_ms: unix_ms(), processes, ended, ended_reads }
    }

    /// The same; and where no process has a database connection by which it would know, the database is asked.
    async fn judged(&self) -> Sample {
        let mut sample = self.sample().await;
        let serving = || sample.processes.iter().filter(|process| !process.draining && !process.silent);
        if serving().next().is_some() && serving().all(|process| process.database_open == 0) {
            let trouble = self.probe().await.err();
            for process in &mut sample.processes {
                // Replicas serve what is only read, though nobody has asked for anything yet.
                process.database_reached = trouble.is_none() || process.reads_elsewhere();
                process.database_trouble.clone_from(&trouble);
            }
        }
        sample
    }

    async fn probe(&self) -> Result<(), String> {
        if let Some((at, answer)) = &*self.probed.borrow()
            && at.elapsed() < PROBED_LATELY
        {
            return answer.clone();
        }
        let answer = (self.probe)().await;
        *self.probed.borrow_mut() = Some((Instant::now(), answer.clone()));
        answer
    }

    /// The latest sample that is old enough to compare with, else the oldest.
    fn earlier(&self, now: &Sample) -> Rc<Sample> {
        let samples = self.samples.borrow();
        let long_ago = |sample: &&Rc<Sample>| {
            Duration::from_nanos(now.at_ns.saturating_sub(sample.at_ns)) >= LEAST_WHILE
        };
        let found = samples.iter().rev().find(long_ago).or(samples.front());
        // There is always one, of the start at the least.
        found.map_or_else(|| Rc::new(now.clone()), Rc::clone)
    }
}

/// Puts one in at the end, and takes the first out where there are too many.
fn push<T>(list: &mut VecDeque<T>, one: T, most: usize) {
    if list.len() >= most {
        list.pop_front();
    }
    list.push_back(one);
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
