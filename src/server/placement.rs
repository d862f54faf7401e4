//! How the system schedules the workers' threads: under which policy, and on which cores.
//!
//! `thread-priority` sets the policy for us, since rustix has no `sched_setscheduler`; it wants a nice value as well, and
//! gets the one that the thread has.
//!
//! **Invariant:** only the calling thread is touched, and so what that thread starts later; a refusal changes nothing, and
//! is told.

use std::io;

use crate::config::workers::{Pin, Sched};

/// What the system made of the wishes for one worker; nothing where nothing was asked for.
pub(super) struct Placed {
    policy: Option<io::Result<()>>,
    core: Option<io::Result<()>>,
}

/// What holds for every worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Their threads run under `SCHED_BATCH`.
    pub(crate) batch: bool,
    /// Each of their threads keeps to one core.
    pub(crate) pinned: bool,
}

/// Places the calling thread, which is the worker's with this index.
pub(super) fn place(worker: usize, sched: Sched, pin: Pin) -> Placed {
    Placed {
        policy: (sched == Sched::Batch).then(run_as_batch),
        core: (pin == Pin::On).then(|| keep_to_one_core(worker)),
    }
}

impl Placement {
    /// Sums the workers up; what was refused is logged once, however many it was refused to.
    pub(super) fn of(placed: &[Placed]) -> Self {
        Self {
            batch: all(placed, "--sched batch", |placed| placed.policy.as_ref()),
            pinned: all(placed, "--pin on", |placed| placed.core.as_ref()),
        }
    }
}

/// Whether every worker has what the flag asks for.
fn all(placed: &[Placed], flag: &str, pick: impl Fn(&Placed) -> Option<&io::Result<()>>) -> bool {
    let refusals: Vec<_> = placed.iter().filter_map(|placed| pick(placed)?.as_ref().err()).collect();
    if let Some(why) = refusals.first() {
        let (refused, workers) = (refusals.len(), placed.len());
        tracing::warn!("{flag} is refused to {refused} of {workers} workers, which serve without it: {why}");
    }
    refusals.is_empty() && placed.iter().any(|placed| pick(placed).is_some())
}

/// `SCHED_BATCH` for the calling thread (sched(7)): when it wakes it waits for its turn, which any user may ask for.
#[cfg(target_os = "linux")]
fn run_as_batch() -> io::Result<()> {
    use thread_priority::{
        Error, NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let batch = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    let nice = rustix::process::getpriority_process(None)?;
    // Its scale of 100 steps meets every nice value.
    let unchanged = (0..u8::MAX)
        .map_while(|step| ThreadPriority::try_from(step).ok())
        .find(|priority| priority.to_posix(batch) == Ok(nice))
        .ok_or(io::ErrorKind::Unsupported)?;
    set_thread_priority_and_policy(thread_native_id(), unchanged, batch).map_err(|error| match error {
        Error::OS(code) => io::Error::from_raw_os_error(code),
        other => io::Error::other(other),
    })
}

/// One of the cores that the thread has from the process: the first for the first worker, and round again after the last.
#[cfg(target_os = "linux")]
fn keep_to_one_core(worker: usize) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None)?;
    let cores: Vec<_> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    let mut one = CpuSet::new();
    one.set(cores[worker % cores.len()]);
    Ok(sched_setaffinity(None, &one)?)
}

/// Other systems have no such policy.
#[cfg(not(target_os = "linux"))]
fn run_as_batch() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Other systems let no thread choose its core.
#[cfg(not(target_os = "linux"))]
fn keep_to_one_core(_: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    #[test]
    fn a_wish_holds_when_it_is_granted_to_every_worker() {
        let granted = || Some(Ok(()));
        let of = |policies: [Option<io::Result<()>>; 2]| {
            Placement::of(&policies.map(|policy| Placed { policy, core: None })).batch
        };
        assert!(of([granted(), granted()]));
        assert!(!of([granted(), Some(refused())]));
        assert!(!of([Some(refused()), Some(refused())]));
        assert!(!of([None, None]), "nobody asked");
    }

    #[test]
    fn one_wish_may_be_granted_and_the_other_refused() {
        let placed = Placed { policy: Some(refused()), core: Some(Ok(())) };
        assert_eq!(Placement::of(&[placed]), Placement { batch: false, pinned: true });
    }
}
