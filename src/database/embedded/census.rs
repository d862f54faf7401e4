//! Which processes serve our cluster.
//!
//! **Invariant:** a process counts as ours only if it runs as the cluster's owner, calls itself `postgres`, and works in
//! the cluster's directory, by device and inode and not by name. Where the kernel does not tell the directory (root
//! in a container without `CAP_SYS_PTRACE`, another system), the mark on its command line decides; without either
//! it is unclear, and what is unclear is neither killed nor ignored.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::error::EmbeddedError;
use super::process::Process;
use super::program::{self, Ended};
use super::site::Site;

/// How long the children of a server that was killed have: to notice by themselves, after a signal, after the last.
const PATIENCE: [(Option<Signal>, Duration); 3] = [
    (None, Duration::from_secs(3)),
    (Some(Signal::QUIT), Duration::from_secs(2)),
    (Some(Signal::KILL), Duration::from_secs(5)),
];

/// What a process is to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    Other,
    Unclear,
}

pub(super) fn whose(site: &Site, pid: i32) -> Whose {
    if !Path::new("/proc/self").exists() {
        return judge_words(&ask_ps(pid), &site.mark);
    }
    let proc = format!("/proc/{pid}");
    if !fs::metadata(&proc).is_ok_and(|found| site.identity.owns(&found)) {
        return Whose::Other;
    }
    // Its arguments are separated by zeroes; a server's child has put its title in their place.
    let words = fs::read(format!("{proc}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words).replace('\0', "\n");
    match (fs::metadata(format!("{proc}/cwd")), fs::metadata(&site.cluster)) {
        (Ok(works_in), Ok(cluster)) => {
            let here = (works_in.dev(), works_in.ino()) == (cluster.dev(), cluster.ino());
            if here && is_postgres(&words) { Whose::Ours } else { Whose::Other }
        }
        (Err(error), _) if error.kind() == ErrorKind::PermissionDenied => judge_words(&words, &site.mark),
        _ => Whose::Other,
    }
}

/// Ends what a killed server left running: its children hold its shared memory, and no other can start meanwhile.
pub(super) fn clear(site: &Site, progress: &mut dyn FnMut(&str)) -> Result<(), EmbeddedError> {
    for (signal, patience) in PATIENCE {
        let strays = strays(site);
        if strays.is_empty() {
            return Ok(());
        }
        if signal.is_some() {
            progress(&format!("ending {} processes that a killed PostgreSQL left behind", strays.len()));
        }
        let until = std::time::Instant::now() + patience;
        for stray in &strays {
            if let Some(signal) = signal {
                drop(stray.signal(signal));
            }
        }
        for stray in &strays {
            stray.wait(until.saturating_duration_since(std::time::Instant::now()));
        }
    }
    match strays(site).first() {
        None => Ok(()),
        Some(stray) => Err(EmbeddedError::NotEnding { pid: stray.number() }),
    }
}

fn strays(site: &Site) -> Vec<Process> {
    // Without /proc there are none to be seen, and PostgreSQL's own check of its shared memory has to do.
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // Held first and judged second: what is judged is then what is held, unless it is gone by then.
    let ours = |number| {
        let process = Process::open(number)?;
        (whose(site, number) == Whose::Ours && !process.is_gone()).then_some(process)
    };
    numbers.filter_map(ours).collect()
}

/// Judges by the command line, one argument a line.
fn judge_words(words: &str, mark: &str) -> Whose {
    if !is_postgres(words) {
        Whose::Other
    } else if words.contains(mark) {
        Whose::Ours
    } else {
        Whose::Unclear
    }
}

/// Whether the first argument is the program `postgres`, or the title of one of its children.
fn is_postgres(words: &str) -> bool {
    let first = words.lines().next().unwrap_or_default();
    let name = first.split(' ').next().unwrap_or_default();
    first.starts_with("postgres:")
        || [first, name].iter().any(|path| Path::new(path).file_name().is_some_and(|name| name == "postgres"))
}

fn ask_ps(pid: i32) -> String {
    let mut command = Command::new("ps");
    command.args(["-o", "command=", "-p"]).arg(pid.to_string());
    match program::run(&mut command, Duration::from_secs(5), &mut |_| {}) {
        Ok(Ended::Well(text)) => text,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_their_children_are_known_by_their_words() {
        let mark = "plimsoll-00000000000000ff";
        let server = format!("/usr/lib/postgresql/15/bin/postgres\n-D\npg15\n-c\ncluster_name={mark}\n");
        assert_eq!(judge_words(&server, mark), Whose::Ours);
        assert_eq!(judge_words(&format!("postgres: {mark}: a b/c [local]"), mark), Whose::Ours);
        assert_eq!(judge_words("postgres: checkpointer", mark), Whose::Unclear);
        assert_eq!(judge_words("/opt/a b/postgres\n-D\nx", mark), Whose::Unclear);
        assert_eq!(judge_words("/opt/pg/bin/postgres -D x", mark), Whose::Unclear);
        assert_eq!(judge_words(&format!("vim\n{mark}"), mark), Whose::Other);
        assert_eq!(judge_words("", mark), Whose::Other);
    }

    #[test]
    fn ps_tells_what_a_process_runs() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(judge_words(&ask_ps(own), "x"), Whose::Other);
    }
}
