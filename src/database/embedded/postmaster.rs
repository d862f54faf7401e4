//! The server's life: taken over or started, and stopped.
//!
//! **Invariant:** at any time at most one server runs on the cluster, and every wait for it has an end: 300 s for a start
//! or a recovery, then 5 s after SIGINT, 3 s after SIGQUIT and 5 s after SIGKILL.
//!
//! The server is started through `pg_ctl`, which puts it into a session of its own, so that neither Ctrl-C nor the
//! closing of the terminal reaches it. It is stopped by signals, since only a pidfd is sure to reach the right process.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::census::{self, Whose};
use super::error::EmbeddedError;
use super::folder::Folder;
use super::pidfile::{self, PidFile, Reading};
use super::process::Process;
use super::program::{self, Ended};
use super::session::{self, Answer};
use super::settings::{self, Settings};
use super::site::Site;
use super::{configuration, log};

const START_DEADLINE: Duration = Duration::from_mins(5);
/// What `pg_ctl` may take beyond the deadline it was given itself.
const START_MARGIN: Duration = Duration::from_secs(10);
/// How long a server that runs may have no socket before it counts as hanging.
const SOCKET_PATIENCE: Duration = Duration::from_secs(10);
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// Signals that end a server, ever harder, and how long each has: a fast shutdown, one without a checkpoint, none.
const ENDINGS: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(5)),
    (Signal::QUIT, Duration::from_secs(3)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// A server that accepts connections.
#[derive(Debug)]
pub(super) struct Postmaster {
    pub(super) process: Process,
    /// Whether it ran already.
    pub(super) adopted: bool,
}

/// Takes over the server that runs on the cluster, if it fits; else starts one, whatever the last one left behind.
pub(super) fn bring_up(site: &Site, progress: &mut dyn FnMut(&str)) -> Result<Postmaster, EmbeddedError> {
    match look(site)? {
        Found::Nothing => {}
        Found::Stale => {
            progress(&format!("recovering the cluster in {} after a crash", site.cluster.display()));
        }
        Found::Alive(process, file) => {
            if fits(site, &process, &file, progress) {
                return Ok(Postmaster { process, adopted: true });
            }
            progress(&format!("restarting the PostgreSQL that was left running, pid {}", process.number()));
            stop(site, &process, progress)?;
        }
    }
    census::clear(site, progress)?;
    // Also after a stop: a server that had to be killed, and that nobody has reaped yet, still counts with PostgreSQL.
    let file = pidfile::path(&site.cluster);
    let disarmed = Folder::open(&site.cluster, &site.identity).and_then(|folder| pidfile::disarm(&folder));
    disarmed.map_err(EmbeddedError::files("change", file))?;
    let process = start(site, progress)?;
    Ok(Postmaster { process, adopted: false })
}

/// Stops the server, and what is left of it if it had to be killed.
pub(super) fn stop(
    site: &Site,
    process: &Process,
    progress: &mut dyn FnMut(&str),
) -> Result<(), EmbeddedError> {
    for (signal, patience) in ENDINGS {
        let path = pidfile::path(&site.cluster);
        process.signal(signal).map_err(EmbeddedError::files("stop the server named in", path))?;
        if process.wait(patience) {
            return census::clear(site, progress);
        }
    }
    Err(EmbeddedError::NotEnding { pid: process.number() })
}

enum Found {
    Nothing,
    /// A lock file, and no server behind it.
    Stale,
    Alive(Process, PidFile),
}

fn look(site: &Site) -> Result<Found, EmbeddedError> {
    let path = pidfile::path(&site.cluster);
    let read = Folder::open(&site.cluster, &site.identity).and_then(|folder| pidfile::read(&folder));
    let file = match read.map_err(EmbeddedError::files("read", &path))? {
        Reading::Absent => return Ok(Found::Nothing),
        Reading::Garbled => return Ok(Found::Stale),
        Reading::Held(file) => file,
    };
    let single_user = file.pid < 0;
    let pid = file.pid.saturating_abs();
    let Some(process) = Process::open(pid) else { return Ok(Found::Stale) };
    match census::whose(site, pid) {
        // It may have ended between the two looks, and its number then says nothing.
        _ if process.is_gone() => Ok(Found::Stale),
        Whose::Other => Ok(Found::Stale),
        Whose::Ours if single_user => Err(EmbeddedError::SingleUser { pid, cluster: site.cluster.clone() }),
        Whose::Ours => Ok(Found::Alive(process, file)),
        Whose::Unclear => Err(EmbeddedError::Unclear { pid, file: path }),
    }
}

/// Whether a running server answers at our socket, for our cluster, with the settings we want. Waits while it recovers.
fn fits(site: &Site, process: &Process, file: &PidFile, progress: &mut dyn FnMut(&str)) -> bool {
    if file.socket_dir.as_ref() != Some(&site.socket.path) || file.port != Some(site.port) {
        return false;
    }
    let started = Instant::now();
    let mut next_word = Duration::from_secs(1);
    loop {
        match session::probe(site) {
            Answer::Serving { fits } => return fits,
            Answer::No => return false,
            Answer::NotYet { socket } => {
                let patience = if socket { START_DEADLINE } else { SOCKET_PATIENCE };
                if started.elapsed() > patience || process.wait(PROBE_EVERY) {
                    return false;
                }
            }
        }
        if started.elapsed() >= next_word {
            progress(&format!(
                "waiting for the PostgreSQL that was left running ({} s)",
                next_word.as_secs()
            ));
            next_word += Duration::from_secs(5);
        }
    }
}

fn start(site: &Site, progress: &mut dyn FnMut(&str)) -> Result<Process, EmbeddedError> {
    if site.tcp {
        let tried = TcpListener::bind((Ipv4Addr::LOCALHOST, site.port));
        drop(tried.map_err(|source| EmbeddedError::TcpPort { port: site.port, source })?);
    }
    site.socket.prepare(&site.identity)?;
    site.socket.clear(site.port);
    let log_start =
        log::prepare(&site.log, &site.identity).map_err(EmbeddedError::files("write", &site.log))?;
    let settings = Settings {
        // Chosen so that it is text.
        socket_dir: &site.socket.path.to_string_lossy(),
        port: site.port,
        tcp: site.tcp,
        max_connections: site.max_connections,
        memory: settings::memory(),
        statement_statistics: site.binaries.has_statement_statistics(),
    };
    configuration::write(&site.cluster, &site.identity, &settings)?;
    match (run_pg_ctl(site, progress)?, look(site)?) {
        (Ended::Well(_), Found::Alive(process, _)) => Ok(process),
        (ended, found) => {
            // Not up in time, or up and down again: leave nothing running that nobody watches.
            if let Found::Alive(process, _) = found {
                stop(site, &process, progress)?;
            }
            site.socket.clear(site.port);
            site.socket.remove();
            Err(failure(site, ended, log_start))
        }
    }
}

fn run_pg_ctl(site: &Site, progress: &mut dyn FnMut(&str)) -> Result<Ended, EmbeddedError> {
    let program = site.binaries.program("pg_ctl");
    let mut command = site.identity.command(&program, &site.data_dir);
    let name = |path: &std::path::Path| path.file_name().unwrap_or_default().to_owned();
    // pg_ctl hands these to a shell, in double quotes: names without a path hold nothing that a shell would read.
    command.arg("start").arg("-D").arg(name(&site.cluster)).arg("-l").arg(name(&site.log));
    command.arg("-o").arg(format!("-c cluster_name={}", site.mark));
    command.args(["-s", "-w", "-t"]).arg(START_DEADLINE.as_secs().to_string());
    let mut waiting = |elapsed: Duration| {
        if elapsed.as_secs() % 5 == 1 {
            progress(&format!("PostgreSQL is starting or recovering ({} s)", elapsed.as_secs()));
        }
    };
    let ran = program::run(&mut command, START_DEADLINE + START_MARGIN, &mut waiting);
    ran.map_err(EmbeddedError::files("run", program))
}

fn failure(site: &Site, ended: Ended, log_start: u64) -> EmbeddedError {
    let log = site.log.clone();
    let tail = log::tail(&log, log_start);
    match ended {
        Ended::Late => {
            EmbeddedError::TimedOut { what: "the start of PostgreSQL", after: START_DEADLINE, log }
        }
        Ended::Well(said) | Ended::Badly(said, _) if tail.is_empty() => {
            EmbeddedError::Start { log, tail: said }
        }
        Ended::Well(_) | Ended::Badly(..) => EmbeddedError::Start { log, tail },
    }
}
