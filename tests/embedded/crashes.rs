//! What a kill or a power cut leaves behind.
//!
//! **Invariant:** what is killed is really killed, by SIGKILL and in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use plimsoll::database::embedded::Options;
use rustix::process::{Pid, Signal, kill_process};

use super::home::{Home, ask, processes_in, run};
use crate::harness::{PATIENCE, wait_until};

/// A service in a process of its own, which can be killed like one.
struct Service(Child);

impl Service {
    fn start(home: &Home) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.args(["serve", "--port", "0", "--workers", "1", "--data-dir"]).arg(home.data_dir());
        for variable in ["DATABASE_URL", "PGHOST", "PGSERVICE", "HOST", "PORT"] {
            command.env_remove(variable);
        }
        Self(command.stderr(Stdio::piped()).spawn().expect("a child process"))
    }

    fn wait_until_it_serves(&mut self) {
        let mut lines = BufReader::new(self.0.stderr.take().expect("its banner")).lines();
        let served = |line: String| line.contains("database") && line.contains("private, in ");
        assert!(lines.any(|line| line.is_ok_and(served)), "it ended early");
    }

    fn kill(&mut self) {
        self.0.kill().expect("a kill");
        self.0.wait().expect("an end");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("a signal");
}

fn entries_with(dir: &Path, part: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains(part)).collect()
}

#[test]
fn a_killed_server_is_noticed_and_started_again() {
    let home = Home::with_cluster();
    let mut embedded = home.start();
    let killed = embedded.pid().unwrap();
    run(async {
        kill(killed, Signal::KILL);
        embedded.died().await;
    });
    embedded.restart().unwrap();
    assert_ne!(embedded.pid(), Some(killed));
    assert_eq!(ask(&embedded.config(), "SELECT count(*)::text FROM world"), "10000");
}

#[test]
fn a_killed_server_is_recovered_by_the_next_start() {
    let home = Home::with_cluster();
    let mut embedded = home.start();
    kill(embedded.pid().unwrap(), Signal::KILL);
    run(embedded.died());
    embedded.stop().unwrap();
    drop(embedded);
    let embedded = home.start();
    assert!(home.heard("recovering the cluster"));
    assert_eq!(ask(&embedded.config(), "SELECT count(*)::text FROM world"), "10000");
}

#[test]
fn children_of_a_killed_server_that_hang_do_not_keep_the_next_one_from_starting() {
    let home = Home::with_cluster();
    let mut embedded = home.start();
    let server = embedded.pid().unwrap();
    let child = *processes_in(home.data_dir()).iter().find(|pid| **pid != server).unwrap();
    kill(child, Signal::STOP);
    kill(server, Signal::KILL);
    run(embedded.died());
    embedded.restart().unwrap();
    assert!(!processes_in(home.data_dir()).contains(&child));
    assert_eq!(ask(&embedded.config(), "SELECT count(*)::text FROM world"), "10000");
}

#[test]
fn a_server_left_by_a_killed_service_is_taken_over() {
    let home = Home::with_cluster();
    let mut service = Service::start(&home);
    service.wait_until_it_serves();
    service.kill();
    let left = processes_in(home.data_dir());
    let mut embedded = home.start();
    assert!(embedded.adopted());
    assert!(left.contains(&embedded.pid().unwrap()));
    assert_eq!(ask(&embedded.config(), "SELECT count(*)::text FROM world"), "10000");
    embedded.stop().unwrap();
    assert_eq!(processes_in(home.data_dir()), [0; 0]);
}

#[test]
fn a_server_left_with_too_few_connections_is_restarted() {
    let home = Home::with_cluster();
    let mut service = Service::start(&home);
    service.wait_until_it_serves();
    service.kill();
    let embedded = home.start_with(&Options { max_connections: 200, ..home.options() }).unwrap();
    assert!(!embedded.adopted());
    assert!(home.heard("restarting"));
    assert_eq!(ask(&embedded.config(), "SHOW max_connections"), "210");
}

#[test]
fn a_cluster_cut_off_half_way_is_made_anew() {
    let home = Home::new();
    let mut service = Service::start(&home);
    wait_until("initdb to have written something", PATIENCE, || {
        entries_with(home.data_dir(), ".new-").into_iter().find(|new| new.join("PG_VERSION").exists())
    });
    service.kill();
    assert!(!entries_with(home.data_dir(), ".new-").is_empty());
    let embedded = home.start();
    assert!(home.heard("making a new PostgreSQL"));
    assert_eq!(ask(&embedded.config(), "SELECT count(*)::text FROM world"), "10000");
    drop(embedded);
    // The initdb that lost its parent may have had a last file to write when its directory was removed.
    wait_until("its end", PATIENCE, || processes_in(home.data_dir()).is_empty().then_some(()));
    drop(home.start());
    assert_eq!(entries_with(home.data_dir(), ".new-"), Vec::<PathBuf>::new());
}

#[test]
fn a_lock_file_that_names_another_program_is_no_hindrance() {
    let home = Home::with_cluster();
    let mut embedded = home.start();
    let (cluster, socket_dir) = (embedded.cluster_dir().to_owned(), embedded.socket_dir().to_owned());
    let pid_file = cluster.join("postmaster.pid");
    let server = embedded.pid().unwrap().to_string();
    let written = fs::read_to_string(&pid_file).unwrap();
    embedded.stop().unwrap();
    drop(embedded);
    // The user that PostgreSQL runs as, since it only minds numbers of processes that it could signal.
    let owner = fs::metadata(&cluster).unwrap();
    let mut other = Command::new("sleep");
    if rustix::process::geteuid().is_root() {
        other.uid(owner.uid()).gid(owner.gid());
    }
    let mut other = Service(other.arg("600").spawn().unwrap());
    let reused = written.replacen(&server, &other.0.id().to_string(), 1);
    for lock in [pid_file, socket_dir.join(".s.PGSQL.5432.lock")] {
        fs::write(&lock, &reused).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&lock, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
    }
    let embedded = home.start();
    assert!(home.heard("recovering the cluster"));
    assert_eq!(ask(&embedded.config(), "SELECT 'x'"), "x");
    assert!(other.0.try_wait().unwrap().is_none(), "and it was left in peace");
    other.kill();
}

#[test]
fn an_empty_lock_file_is_no_hindrance() {
    let home = Home::with_cluster();
    let cluster = home.start().cluster_dir().to_owned();
    fs::write(cluster.join("postmaster.pid"), "").unwrap();
    assert_eq!(ask(&home.start().config(), "SELECT 'x'"), "x");
}
