//! No descriptor for another connection: the process has as many as it may (`EMFILE`), or the system has (`ENFILE`).
//!
//! The second is made by strace, which has the kernel's answer to accept4(2) replaced: the limit itself, `fs.file-max`, is everybody's.
//!
//! **Invariant:** connections wait to be accepted all the while, so that there is something to spin on.

use std::process::Command;
use std::time::{Duration, Instant};

use super::figure;
use crate::harness::processes::{limit_descriptors, processor_time};
use crate::harness::{Client, PATIENCE, Program, ServerSetup, TestDatabase, TestServer, request, wait_until};
use crate::telemetry::status;

/// A limit below what a service holds already, and so no further descriptor.
const NONE_MORE: u64 = 4;

/// How soon connections are accepted again.
const BACK: Duration = Duration::from_secs(1);

/// The processor time that is not spinning, of one core.
const MOST_CPU: f64 = 0.05;

/// How often a connection that is open asks: the service's work for it is little beside what is measured.
const PACE: Duration = Duration::from_millis(250);

/// Clients that ask, and are not accepted.
fn crowd(server: &TestServer) -> Vec<Client> {
    let newcomer = || {
        let mut client = server.connect();
        client.send(request("GET", "/json"));
        client
    };
    (0..50).map(|_| newcomer()).collect()
}

/// Asks on an open connection while newcomers wait in vain.
fn ask_for(insider: &mut Client, crowd: &[Client], time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert_eq!(insider.get("/db").status, 200, "those who are in are served");
        insider.expect_silence(PACE);
    }
    assert!(!crowd.iter().any(Client::arrived), "a newcomer was accepted: nothing was starved");
}

fn starve_for(time: Duration) {
    let database = TestDatabase::create();
    let mut server = ServerSetup::with_database(&database).start();
    let mut insider = server.connect();
    assert_eq!(insider.get("/db").status, 200);
    status(&server);
    let before = limit_descriptors(server.pid(), Some(NONE_MORE));
    let crowd = crowd(&server);
    // One at the door of the admin side, too.
    let admin = std::os::unix::net::UnixStream::connect(server.admin_socket()).unwrap();
    let cpu = processor_time(server.pid());
    ask_for(&mut insider, &crowd, time);
    let cpu = processor_time(server.pid()).saturating_sub(cpu).as_secs_f64() / time.as_secs_f64();
    assert!(cpu < MOST_CPU, "{:.1} % of a core while starved", cpu * 100.0);
    limit_descriptors(server.pid(), before);
    let start = Instant::now();
    for mut client in crowd {
        assert_eq!(client.receive().status, 200);
    }
    assert_eq!(server.connect().get("/db").status, 200);
    let back = start.elapsed();
    assert!(back < BACK, "accepting again after {back:?}");
    drop(admin);
    assert!(status(&server).totals.accept_errors > 0);
    let lines = server.stderr().lines().filter(|line| line.contains("accepted")).count();
    assert!(lines <= 4, "each worker says it when it begins and when it ends:\n{}", server.stderr());
    let cpu = cpu * 100.0;
    figure(
        "EMFILE",
        format_args!(
            "{time:?} long: {cpu:.1} % of a core, accepting again after {back:?}, {lines} log lines"
        ),
    );
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn without_descriptors_nobody_spins_who_is_in_is_served_and_accepting_goes_on_at_once() {
    starve_for(Duration::from_secs(2));
}

#[test]
#[ignore = "a minute: make faults"]
fn a_minute_without_descriptors_is_outlived() {
    starve_for(Duration::from_mins(1));
}

/// strace, attached to every thread of a process and answering `ENFILE` for accept4(2); nothing where that cannot be had here.
fn exhaust_the_system(pid: u32) -> Option<Program> {
    let inject = "inject=accept4:error=ENFILE";
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-e",
        "trace=accept4",
        "-e",
        inject,
        "-o",
        "/dev/null",
        "-p",
        &pid.to_string(),
    ]);
    if Command::new("strace").arg("--version").output().is_err() {
        println!("skipped: there is no strace here");
        return None;
    }
    let mut strace = Program::start(&mut command);
    let is_traced = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    };
    let attached = wait_until("strace to attach, or to give up", PATIENCE, || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
        if tasks.flatten().all(is_traced) {
            return Some(true);
        }
        (strace.stderr().contains("strace:")).then_some(false)
    });
    if !attached {
        println!("skipped: strace may not attach here: {}", strace.wait(PATIENCE).stderr);
        return None;
    }
    Some(strace)
}

fn exhaust_for(time: Duration) {
    let database = TestDatabase::create();
    let mut server = ServerSetup::with_database(&database).start();
    let mut insider = server.connect();
    assert_eq!(insider.get("/db").status, 200);
    let Some(strace) = exhaust_the_system(server.pid()) else { return };
    let crowd = crowd(&server);
    ask_for(&mut insider, &crowd, time);
    // It lets the threads go as it ends.
    drop(strace);
    let start = Instant::now();
    for mut client in crowd {
        assert_eq!(client.receive().status, 200);
    }
    let back = start.elapsed();
    assert!(back < BACK, "accepting again after {back:?}");
    let errors = status(&server).totals.accept_errors;
    // Two workers, each of which rests 50 ms after every one.
    let most = time.as_secs() * 1_000 / 50 * 2 + 10;
    assert!(
        (1..=most).contains(&errors),
        "{errors} attempts in {time:?}, and no more than {most} were expected"
    );
    assert!(server.stderr().contains("Too many open files in system"), "{}", server.stderr());
    figure(
        "ENFILE",
        format_args!("{time:?} long: {errors} attempts to accept, accepting again after {back:?}"),
    );
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn a_system_without_descriptors_is_outlived_as_well() {
    exhaust_for(Duration::from_secs(1));
}

#[test]
#[ignore = "a minute: make faults"]
fn a_minute_of_a_system_without_descriptors_is_outlived() {
    exhaust_for(Duration::from_mins(1));
}
