//! Runs one of PostgreSQL's programs to its end, with a deadline.
//!
//! **Invariant:** when [`run`] returns, the program has ended: by itself, or killed at its deadline together with the
//! process group it was given.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How often a running program is looked at; a fraction of the shortest of them.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What a killed or ended program's pipe may still take to be read out.
const READ_OUT: Duration = Duration::from_secs(1);
/// How much of a program's output is kept.
const OUTPUT_LIMIT: u64 = 256 * 1024;

/// How a program ended.
pub(super) enum Ended {
    /// By itself, with success.
    Well(String),
    /// By itself, with its output and how.
    Badly(String, ExitStatus),
    /// By us, at its deadline.
    Late,
}

/// Runs `command` with its output and errors gathered in one string. `waiting` hears about once a second how long it
/// has taken so far.
pub(super) fn run(
    command: &mut Command,
    deadline: Duration,
    waiting: &mut dyn FnMut(Duration),
) -> io::Result<Ended> {
    let (mut reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let child = command.spawn()?;
    // The command keeps its ends of the pipe open, and the pipe would never end: replace them.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (send, output) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = reader.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // Nobody listens any more when the deadline has passed.
        drop(send.send(read.map(|_| text)));
        // What is beyond the limit is read and forgotten, so that the program does not stand still.
        drop(io::copy(&mut reader, &mut io::sink()));
    });
    let Some(status) = wait(child, deadline, waiting)? else { return Ok(Ended::Late) };
    let text = output.recv_timeout(READ_OUT).unwrap_or_else(|_| Ok(String::new()))?;
    Ok(if status.success() { Ended::Well(text) } else { Ended::Badly(text, status) })
}

fn wait(
    mut child: Child,
    deadline: Duration,
    waiting: &mut dyn FnMut(Duration),
) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    let mut next_word = Duration::from_secs(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let elapsed = started.elapsed();
        if elapsed >= deadline {
            // The group, since initdb has children. The child itself is not reaped yet, so its id is still its own.
            if let Ok(id) = i32::try_from(child.id())
                && let Some(group) = Pid::from_raw(id)
            {
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        if elapsed >= next_word {
            next_word += Duration::from_secs(1);
            waiting(elapsed);
        }
        thread::park_timeout(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script).process_group(0);
        command
    }

    #[test]
    fn output_and_errors_come_in_one_string() {
        let ended = run(&mut shell("echo one; echo two >&2"), Duration::from_secs(10), &mut |_| {}).unwrap();
        assert!(matches!(ended, Ended::Well(text) if text == "one\ntwo\n"));
    }

    #[test]
    fn a_failure_keeps_its_words() {
        let ended = run(&mut shell("echo no; exit 3"), Duration::from_secs(10), &mut |_| {}).unwrap();
        assert!(matches!(ended, Ended::Badly(text, status) if text == "no\n" && status.code() == Some(3)));
    }

    #[test]
    fn a_program_past_its_deadline_is_ended_with_its_children() {
        let started = Instant::now();
        let ended = run(&mut shell("sleep 600 & wait"), Duration::from_millis(50), &mut |_| {}).unwrap();
        assert!(matches!(ended, Ended::Late));
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn much_output_does_not_stop_a_program() {
        let script = "head -c 1000000 /dev/zero | tr '\\0' x";
        let ended = run(&mut shell(script), Duration::from_secs(20), &mut |_| {}).unwrap();
        assert!(matches!(ended, Ended::Well(text) if text.len() == 256 * 1024));
    }
}
