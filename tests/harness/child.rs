//! A program of ours as a child process: its output kept, its end waited for with a limit.
//!
//! **Invariant:** the child is dead when its handle is gone.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::patience::{PATIENCE, wait_until};

/// How a program ended and what it said.
#[derive(Debug)]
pub(crate) struct Finished {
    /// None where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The lines of one output, as they come.
#[derive(Default)]
struct Output {
    lines: Mutex<(Vec<String>, bool)>,
    news: Condvar,
}

impl Output {
    fn follow(source: impl Read + Send + 'static) -> Arc<Self> {
        let output = Arc::new(Self::default());
        let kept = Arc::clone(&output);
        thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                kept.lines.lock().unwrap_or_else(PoisonError::into_inner).0.push(line);
                kept.news.notify_all();
            }
            kept.lines.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
            kept.news.notify_all();
        });
        output
    }

    fn text(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).0.join("\n")
    }

    /// The first line with an answer; none where the output ends or the time is over.
    fn wait_for<T>(&self, limit: Duration, mut look: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut seen = 0;
        let mut guard = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = guard.0[seen..].iter().find_map(|line| look(line)) {
                return Some(found);
            }
            seen = guard.0.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if guard.1 || left.is_zero() {
                return None;
            }
            guard = self.news.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A running program.
pub(crate) struct Program {
    child: Child,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_reading(command, Stdio::null())
    }

    /// The same with a standard input.
    pub(crate) fn start_reading(command: &mut Command, input: Stdio) -> Self {
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = Output::follow(child.stdout.take().expect("a piped standard output"));
        let stderr = Output::follow(child.stderr.take().expect("a piped standard error"));
        Self { child, stdout, stderr }
    }

    /// The first thing that `look` finds in a line of standard error; panics where it does not come.
    pub(crate) fn wait_for_line<T>(&self, what: &str, look: impl FnMut(&str) -> Option<T>) -> T {
        self.stderr
            .wait_for(PATIENCE, look)
            .unwrap_or_else(|| panic!("no {what} on standard error, which says:\n{}", self.stderr.text()))
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // The child is not waited for yet, so that its number is still its own.
        kill_process(self.process(), signal).expect("the signal to be taken");
    }

    /// Signals the group that it leads.
    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(self.process(), signal).expect("the signal to be taken");
    }

    fn process(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id")
    }

    /// Waits for its end; panics past the limit.
    pub(crate) fn wait(&mut self, limit: Duration) -> Finished {
        let child = &mut self.child;
        let status =
            wait_until("the program to end", limit, || child.try_wait().expect("the state of our own child"));
        let ended = |output: &Output| output.wait_for(Duration::from_secs(2), |_| None::<()>);
        ended(&self.stdout);
        ended(&self.stderr);
        Finished { code: status.code(), stdout: self.stdout.text(), stderr: self.stderr.text() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
