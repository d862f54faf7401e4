//! What is shown of the database's hosts: by `status`, as text and as JSON, by `/metrics`, and by `/readyz`.
//!
//! **Invariant:** as of the folder; what is shown is compared with what the servers themselves say, and with what was asked.

use plimsoll::telemetry::hosts::{Host, Role, Side};
use plimsoll::telemetry::status::Status;
use rustix::process::Signal;
use std::time::{Duration, Instant};

use super::{figure, mark, mark_both, pair, primary, serve, sessions, url};
use crate::harness::processes::signal;
use crate::harness::{PATIENCE, ServerSetup, Session, TestServer, kill_all_of, wait_until};
use crate::telemetry::{by_socket, status};

const MAX_LAG: &str = "1s";
/// The promise: a replica is left out within a second of the limit, and shown so.
const LEFT_OUT_WITHIN: Duration = Duration::from_secs(2);

/// What `plimsoll status` prints.
fn printed(server: &TestServer, words: &[&str]) -> String {
    let command = ServerSetup::of(&["status"]).args(words);
    let finished = command.arg("--admin-socket").arg(server.admin_socket()).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(!finished.stdout.contains('\x1b'), "colours where there is no terminal: {finished:?}");
    finished.stdout
}

/// Both servers by `status --json`: the one that takes writes, and the one that is read from.
fn told(server: &TestServer) -> [Host; 2] {
    let status: Status = serde_json::from_str(&printed(server, &["--json"])).expect("a status");
    let hosts: Vec<Host> = status.hosts.into_iter().map(|status| status.host).collect();
    hosts.try_into().unwrap_or_else(|hosts| panic!("two servers, not {hosts:?}"))
}

/// A series of `/metrics`; none where it is not there.
fn series(server: &TestServer, name: &str) -> Option<f64> {
    let text = by_socket(server, "GET", "/metrics").text();
    assert!(!text.contains("secret"), "{text}");
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// Waits until this is shown of the server that is read from.
fn wait_for(what: &str, server: &TestServer, is_so: impl Fn(&Host) -> bool) -> Host {
    wait_until(what, PATIENCE, || status(server).hosts.pop().map(|shown| shown.host).filter(&is_so))
}

/// Asks for so many single rows.
fn ask(server: &TestServer, requests: usize) {
    let mut client = server.connect();
    for _ in 0..requests {
        assert_eq!(client.get("/db").status, 200, "{}", server.stderr());
    }
}

#[test]
fn a_replica_whose_replay_is_paused_is_shown_with_its_lag_and_left_out_and_then_back() {
    let (primary, standby) = pair();
    let (admin, other) = (primary.administer("rows"), standby.administer("rows"));
    mark_both(&admin, &standby, 1);
    let server = serve(primary.port(), &[standby.port()], "").args(&["--max-replica-lag", MAX_LAG]).start();
    let names = [primary.port(), standby.port()].map(|port| format!("127.0.0.1:{port}"));
    ask(&server, 25);
    wait_for("the reads to be counted", &server, |host| host.served == Some(25));
    let [writes, reads] = told(&server);
    assert_eq!((writes.side, &writes.at, writes.role), (Side::Writes, &names[0], Some(Role::Primary)));
    assert_eq!((reads.side, &reads.at, reads.role), (Side::Reads, &names[1], Some(Role::Standby)));
    assert!(writes.in_use && reads.in_use && reads.lag_ms.is_some(), "{writes:?} {reads:?}");
    assert_eq!(i64::from(reads.open), sessions(&other));
    let row = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    let text = printed(&server, &[]);
    assert!(row(&text, &names[0]).contains("writes  primary  in use"), "{text}");
    assert!(row(&text, &names[1]).contains("reads  standby  in use"), "{text}");
    let of_reads = |name: &str| format!("{name}{{side=\"reads\",host=\"{}\"}}", names[1]);
    let in_use = of_reads("plimsoll_database_host_in_use");
    assert_eq!(series(&server, &in_use), Some(1.0));
    let sent = format!("plimsoll_replica_reads_total{{host=\"{}\"}}", names[1]);
    assert_eq!(series(&server, &sent), Some(25.0));

    other.run("SELECT pg_wal_replay_pause()");
    mark(&admin, 2);
    let written = Instant::now();
    let late = wait_for("it to be left out", &server, |host| !host.in_use);
    let shown_after = written.elapsed();
    assert!(late.lag_ms.is_some_and(|lag| lag >= 1_000), "{late:?}");
    assert!(late.left_out.is_some_and(|why| why.contains("--max-replica-lag is 1s")));
    assert_eq!(series(&server, &in_use), Some(0.0));
    let lag = format!("plimsoll_replica_lag_seconds{{host=\"{}\"}}", names[1]);
    assert!(series(&server, &lag).is_some_and(|lag| lag >= 1.0), "{:?}", series(&server, &lag));
    let text = printed(&server, &[]);
    assert!(row(&text, &names[1]).contains("reads  standby  left out"), "{text}");
    assert!(row(&text, "left out").contains(&format!("{}: it is", names[1])), "{text}");
    let answer = by_socket(&server, "GET", "/readyz");
    assert!(answer.status == 200 && answer.text().contains("reads go to the primary"), "{answer:?}");

    other.run("SELECT pg_wal_replay_resume()");
    let back = wait_for("it to be in use again", &server, |host| host.in_use);
    assert!(back.left_out.is_none() && back.lag_ms.is_some_and(|lag| lag <= 500), "{back:?}");
    assert_eq!(series(&server, &in_use), Some(1.0));
    figure(
        "replay paused, --max-replica-lag 1s",
        format!("shown as left out {shown_after:?} after the write"),
    );
    assert!(shown_after < LEFT_OUT_WITHIN, "shown as left out after {shown_after:?}");
}

#[test]
fn a_service_that_reads_from_replicas_only_is_not_ready_without_one_and_others_are() {
    let (primary, standby) = pair();
    let readers = || serve(primary.port(), &[standby.port()], "&target_session_attrs=standby");
    let (lenient, strict) = (readers().start(), readers().args(&["--reads", "replica-only"]).start());
    let ready = |server: &TestServer| {
        let answer = by_socket(server, "GET", "/readyz");
        (answer.status, answer.text().trim_end().to_owned())
    };
    for server in [&lenient, &strict] {
        assert_eq!(ready(server), (200, "it is ready".into()));
    }
    standby.kill();
    wait_until("the strict one to say that it is not ready", PATIENCE, || {
        let (status, text) = ready(&strict);
        (status == 503 && text.contains("--reads replica-only")).then_some(())
    });
    wait_until("the lenient one to say where reads go", PATIENCE, || {
        let (status, text) = ready(&lenient);
        assert_eq!(status, 200, "{text}");
        text.contains("reads go to the primary").then_some(())
    });
    let refused = [&lenient, &strict].map(|server| series(server, "plimsoll_reads_refused"));
    assert_eq!(refused, [Some(0.0), Some(1.0)]);
    assert!(!status(&strict).ready && status(&lenient).ready);
    // What is only read is most: with the primary away, and a replica there, it is ready.
    standby.start_again();
    wait_for("it to be in use again", &strict, |host| host.in_use);
    wait_for("it to be in use again", &lenient, |host| host.in_use);
    kill_all_of(&primary);
    for server in [&lenient, &strict] {
        wait_until("the primary to be shown as away", PATIENCE, || {
            (!status(server).hosts[0].host.in_use).then_some(())
        });
        let (status, text) = ready(server);
        assert!(status == 200 && text.contains("but the database"), "{status} {text}");
        assert!(printed(server, &[]).contains("away"));
    }
}

#[test]
fn several_processes_are_one_line_for_each_server_and_reads_of_one_that_was_killed_stay() {
    let (primary, standby) = pair();
    let other = standby.administer("rows");
    mark_both(&primary.administer("rows"), &standby, 1);
    let server = serve(primary.port(), &[standby.port()], "").args(&["--processes", "3"]).start();
    (0..12).for_each(|_| ask(&server, 5));
    let seen = wait_for("the reads to be counted", &server, |host| host.served == Some(60));
    let open = |admin: &Session| u32::try_from(sessions(admin)).expect("a number");
    assert_eq!((told(&server).len(), seen.open), (2, open(&other)), "{seen:?}");
    signal(status(&server).processes[0].pid, Signal::KILL);
    wait_until("another process in its place", PATIENCE, || {
        let now = status(&server);
        let [_, reads] = [0, 1].map(|at| now.hosts[at].host.served);
        assert!(reads >= Some(60), "{now:?}");
        (now.processes.len() == 3 && now.hosts.len() == 2 && now.hosts[1].host.open == open(&other))
            .then_some(())
    });
    ask(&server, 5);
    let after = wait_for("what came since", &server, |host| host.served == Some(65));
    assert!(after.in_use && after.left_out.is_none(), "{after:?}");
    let name = format!("plimsoll_replica_reads_total{{host=\"{}\"}}", after.at);
    assert_eq!(series(&server, &name), Some(65.0));
}

#[test]
fn what_keeps_the_service_from_reading_where_a_server_answers_is_said_and_shown() {
    let server = primary();
    // The server's own database: it answers the watch, and has no table to read.
    let elsewhere = url(&[server.port()], "").replace("/rows", "/postgres");
    let readers = || serve(server.port(), &[server.port()], "").env("DATABASE_READ_URL", &elsewhere);
    let (lenient, strict) = (readers().start(), readers().args(&["--reads", "replica-only"]).start());
    for (service, status, without) in
        [(&lenient, 200, "reads go to the primary"), (&strict, 503, "reads answer 503")]
    {
        assert_eq!(service.connect().get("/db").status, status, "{}", service.stderr());
        wait_until("the reason in the log", PATIENCE, || {
            let line = |line: &str| {
                line.contains("reads: the database is not reached")
                    && line.contains("42P01")
                    && line.contains(without)
            };
            service.stderr().lines().any(line).then_some(())
        });
        wait_until("the reason in /readyz", PATIENCE, || {
            let answer = by_socket(service, "GET", "/readyz");
            assert_eq!(answer.status, status, "{}", answer.text());
            (answer.text().contains("reads") && answer.text().contains("42P01")).then_some(())
        });
    }
}
