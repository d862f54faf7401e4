//! How the system schedules the workers' threads, as the system itself tells it (proc(5)).
//!
//! **Invariant:** every thread of the service is looked at, those that must stay as they are too.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{DataDirectory, ServerSetup, TestServer};

const NOWHERE: &str = "postgres://nobody@127.0.0.1:1/none";

/// Values of sched(7), as /proc shows them.
const SCHED_OTHER: &str = "0";
const SCHED_BATCH: &str = "3";

struct Thread {
    name: String,
    policy: String,
    nice: String,
    cores: Vec<usize>,
}

/// The threads of a process.
fn threads(pid: u32) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the threads of a process that runs");
    tasks
        .map(|task| {
            let task = task.expect("a thread").path();
            let stat = fs::read_to_string(task.join("stat")).expect("its state");
            let (before, after) = stat.rsplit_once(") ").expect("a name in brackets");
            let name = before.split_once('(').expect("a name in brackets").1.to_owned();
            // The name is the second field, so that what follows it begins with the third.
            let field = |number: usize| after.split(' ').nth(number - 3).expect("a field").to_owned();
            Thread { name, policy: field(41), nice: field(19), cores: cores(&task) }
        })
        .collect()
}

/// The cores that a thread may run on, from a list as in `0-2,5`.
fn cores(task: &Path) -> Vec<usize> {
    let status = fs::read_to_string(task.join("status")).expect("its status");
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("its cores");
    let number = |text: &str| text.parse::<usize>().expect("a core's number");
    let ranges = list.trim().split(',').map(|range| range.split_once('-').unwrap_or((range, range)));
    ranges.flat_map(|(first, last)| number(first)..=number(last)).collect()
}

/// The threads once all workers are there, in order of their names, and the others.
fn workers_and_others(server: &TestServer, workers: usize) -> (Vec<Thread>, Vec<Thread>) {
    server.wait_for_line("workers", |line| line.trim().starts_with("workers").then_some(()));
    let (mut found, others): (Vec<_>, Vec<_>) =
        threads(server.pid()).into_iter().partition(|thread| thread.name.starts_with("worker-"));
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(found.len(), workers);
    assert!(!others.is_empty(), "no main thread");
    (found, others)
}

fn banner(server: &TestServer) -> String {
    server.wait_for_line("workers", |line| line.trim().strip_prefix("workers").map(str::to_owned))
}

#[test]
fn by_default_nothing_is_asked_of_the_scheduler() {
    let server = ServerSetup::with_url(NOWHERE).start();
    let (workers, others) = workers_and_others(&server, 2);
    assert!(workers.iter().chain(&others).all(|thread| thread.policy == SCHED_OTHER));
    let own = cores(Path::new("/proc/self"));
    assert!(workers.iter().chain(&others).all(|thread| thread.cores == own));
    let said = banner(&server);
    assert!(!said.contains("SCHED_BATCH") && !said.contains("pinned"), "{said}");
}

#[test]
fn under_batch_the_workers_are_scheduled_so_and_nothing_else_is() {
    let data = DataDirectory::create();
    let server =
        ServerSetup::serve().arg("--data-dir").arg(data.path()).env("PLIMSOLL_SCHED", "batch").start();
    assert_eq!(server.connect().get("/db").status, 200);
    let (workers, others) = workers_and_others(&server, 2);
    assert!(workers.iter().all(|thread| thread.policy == SCHED_BATCH));
    assert!(others.iter().all(|thread| thread.policy == SCHED_OTHER));
    let postmaster = data.postmaster().expect("a running PostgreSQL");
    assert!(threads(postmaster.unsigned_abs()).iter().all(|thread| thread.policy == SCHED_OTHER));
    assert!(banner(&server).contains("SCHED_BATCH"), "{}", server.stderr());
}

#[test]
fn the_nice_value_stays_as_it_was() {
    let words = ["-n", "5", env!("CARGO_BIN_EXE_plimsoll"), "serve", "--port", "0", "--workers", "2"];
    let setup = ServerSetup::by("nice", &words).env("DATABASE_URL", NOWHERE);
    let server = setup.args(&["--sched", "batch"]).start();
    let (workers, others) = workers_and_others(&server, 2);
    assert!(workers.iter().all(|thread| thread.policy == SCHED_BATCH));
    assert_ne!(others[0].nice, "0");
    assert!(workers.iter().all(|thread| thread.nice == others[0].nice));
}

#[test]
fn pinned_workers_take_the_cores_in_order_and_round_again_and_other_threads_stay_free() {
    let own = cores(Path::new("/proc/self"));
    let setup = ServerSetup::of(&["serve", "--port", "0", "--pin", "on"]).env("DATABASE_URL", NOWHERE);
    let server = setup.arg("--workers").arg((own.len() + 1).to_string()).start();
    let (workers, others) = workers_and_others(&server, own.len() + 1);
    let number = |thread: &Thread| thread.name["worker-".len()..].parse::<usize>().expect("its number");
    for worker in &workers {
        assert_eq!(worker.cores, [own[number(worker) % own.len()]], "{}", worker.name);
    }
    assert!(others.iter().all(|thread| thread.cores == own));
    assert!(banner(&server).contains("pinned"), "{}", server.stderr());
    assert_eq!(server.connect().get("/json").status, 200);
}

#[test]
fn a_process_bound_to_one_core_has_all_its_workers_pinned_there() {
    if Command::new("taskset").arg("--version").output().is_err() {
        return;
    }
    let last = *cores(Path::new("/proc/self")).last().expect("a core");
    let words = ["-c", &last.to_string(), env!("CARGO_BIN_EXE_plimsoll"), "serve", "--port", "0"];
    let setup = ServerSetup::by("taskset", &words).env("DATABASE_URL", NOWHERE).env("PLIMSOLL_PIN", "on");
    let server = setup.args(&["--workers", "2"]).start();
    assert!(workers_and_others(&server, 2).0.iter().all(|worker| worker.cores == [last]));
}
