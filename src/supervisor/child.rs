//! One child process: started with its listeners, told to end, watched.
//!
//! **Invariant:** a child that is started is waited for by a task of its own, and its end is always told; where the supervisor
//! ends first the child is killed with it.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::channel::{self, Incoming, Order, Report};

/// How long a child may take to accept connections, counted from its start.
pub(super) const READY_PATIENCE: Duration = Duration::from_secs(10);

/// How children are started.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The program, by the path that it had when the supervisor started.
    pub(crate) program: PathBuf,
    /// All settings in force; the index of the process is added.
    pub(crate) words: Vec<OsString>,
    /// Variables that are set, or taken away, in the child's environment.
    pub(crate) variables: Vec<(OsString, Option<OsString>)>,
    /// How long a child may take to end when it is told to.
    pub(crate) drain_deadline: Duration,
    /// How much longer than that it may take before it is killed.
    pub(crate) end_patience: Duration,
}

/// What became known of a child.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) child: ChildId,
    pub(super) news: News,
}

#[derive(Debug)]
pub(super) enum News {
    Reported(Report),
    /// None where even its end could not be learnt.
    Ended(Option<ExitStatus>),
}

/// Tells children apart, also those of one process; process ids come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChildId(pub(super) u64);

/// A child that runs, or whose end was not heard of yet.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) id: ChildId,
    pub(super) pid: u32,
    started: Instant,
    pub(super) is_ready: bool,
    /// Whether it has said so since it was last asked; nobody was asked before the first time.
    pub(super) turns: bool,
    /// When it is killed: if it does not serve by then, and once it was told to end, if it has not.
    pub(super) kill_at: Option<Instant>,
    pub(super) launch: Rc<Launch>,
    is_ending: bool,
    orders: UnixStream,
    kill: Rc<Notify>,
}

impl Child {
    /// Starts one and passes its listeners on; gives our end of its telemetry channel too.
    pub(super) fn start(
        launch: &Rc<Launch>,
        index: usize,
        id: ChildId,
        listeners: &[TcpListener],
        notices: &mpsc::UnboundedSender<Notice>,
    ) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let (questions, answers) = UnixStream::pair()?;
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.words)
            .arg(format!("--process-index={index}"))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            // Ctrl-C on a terminal is for the supervisor alone, from the first instant: hence no session, which only the child
            // itself could begin, some time after its start.
            .process_group(0)
            .kill_on_drop(true);
        for (name, value) in &launch.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let process = command.spawn()?;
        // It holds the child's end of the channel, whose end would never be seen otherwise.
        drop(command);
        let pid = process.id().unwrap_or_default();
        let kill = Rc::new(Notify::new());
        if let Err(error) = channel::pass_on(&ours, &answers, listeners) {
            // One that has ended by now tells of its end itself.
            if error.kind() != io::ErrorKind::BrokenPipe {
                tracing::error!("process {index} (pid {pid}) cannot be given its listeners: {error}");
            }
            kill.notify_one();
        }
        drop(answers);
        let (reports, orders) = channel::split(ours)?;
        let (notices, killed) = (notices.clone(), Rc::clone(&kill));
        tokio::task::spawn_local(watch(process, reports, id, notices, killed));
        let (launch, started) = (Rc::clone(launch), Instant::now());
        let kill_at = Some(started + READY_PATIENCE);
        let (is_ready, turns, is_ending) = (false, true, false);
        let child = Self { id, pid, started, is_ready, turns, kill_at, launch, is_ending, orders, kill };
        Ok((child, questions))
    }

    /// It serves, and may go on for good unless it was told to end.
    pub(super) fn note_ready(&mut self) {
        self.is_ready = true;
        if !self.is_ending {
            self.kill_at = None;
        }
    }

    /// Whether its event loops have turned since this was last called, which has it asked again.
    pub(super) fn beats(&mut self) -> bool {
        channel::order(&self.orders, Order::Beat);
        std::mem::take(&mut self.turns)
    }

    /// How long it lived; one that never served did not.
    pub(super) fn lived(&self) -> Duration {
        if self.is_ready { self.started.elapsed() } else { Duration::ZERO }
    }

    /// Tells it to end, and gives it the time that the order gives.
    pub(super) fn tell(&mut self, order: Order) {
        channel::order(&self.orders, order);
        let may_take = if order == Order::End { Duration::ZERO } else { self.launch.drain_deadline };
        let at = Instant::now() + may_take.saturating_add(self.launch.end_patience);
        let before = self.kill_at.filter(|_| self.is_ending);
        self.kill_at = Some(before.map_or(at, |before| before.min(at)));
        self.is_ending = true;
    }

    /// Kills it; says why.
    pub(super) fn kill(&mut self) -> String {
        self.kill_at = None;
        self.kill.notify_one();
        if self.is_ending {
            "does not end by itself and is killed".into()
        } else {
            format!("did not serve within {READY_PATIENCE:?} and is killed")
        }
    }
}

/// Tells what the child reports, and at last how it ended.
async fn watch(
    mut process: tokio::process::Child,
    mut reports: Incoming,
    child: ChildId,
    notices: mpsc::UnboundedSender<Notice>,
    kill: Rc<Notify>,
) {
    let mut speaks = true;
    let ended = loop {
        tokio::select! {
            biased;
            report = channel::next_report(&mut reports), if speaks => match report {
                // Nobody listens only when the supervisor is ending.
                Some(report) => drop(notices.send(Notice { child, news: News::Reported(report) })),
                None => speaks = false,
            },
            ended = process.wait() => break ended,
            () = kill.notified() => drop(process.start_kill()),
        }
    };
    let ended = ended.inspect_err(|error| tracing::error!("the end of a process cannot be learnt: {error}"));
    drop(notices.send(Notice { child, news: News::Ended(ended.ok()) }));
}
