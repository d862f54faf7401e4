//! How the system schedules the workers' threads.
//!
//! `thread-priority` sets the policy for us, since rustix has no `sched_setscheduler`; it wants a nice value as well, and
//! gets the one that the thread has.
//!
//! **Invariant:** only the calling thread is touched, and so what that thread starts later; a refusal changes nothing, and
//! is told.

use std::io;

use crate::config::workers::Sched;

/// What the system made of the wishes for one worker; nothing where nothing was asked for.
pub(super) struct Placed {
    policy: Option<io::Result<()>>,
}

/// What holds for every worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Their threads run under `SCHED_BATCH`.
    pub(crate) batch: bool,
}

/// Places the calling thread, which is a worker's.
pub(super) fn place(sched: Sched) -> Placed {
    Placed { policy: (sched == Sched::Batch).then(run_as_batch) }
}

impl Placement {
    /// Sums the workers up; what was refused is logged once, however many it was refused to.
    pub(super) fn of(placed: &[Placed]) -> Self {
        Self { batch: all(placed, "--sched batch", |placed| placed.policy.as_ref()) }
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

/// Other systems have no such policy.
#[cfg(not(target_os = "linux"))]
fn run_as_batch() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(policy: Option<io::Result<()>>) -> Placed {
        Placed { policy }
    }

    #[test]
    fn a_policy_holds_when_every_worker_has_it() {
        let refused = || Some(Err(io::ErrorKind::PermissionDenied.into()));
        assert!(Placement::of(&[placed(Some(Ok(()))), placed(Some(Ok(())))]).batch);
        assert!(!Placement::of(&[placed(Some(Ok(()))), placed(refused())]).batch);
        assert!(!Placement::of(&[placed(refused()), placed(refused())]).batch);
        assert!(!Placement::of(&[placed(None), placed(None)]).batch, "nobody asked");
    }
}
