//! Clients that are slow on purpose: a head, a body or the reading of an answer that never ends (Slowloris and its kin).
//!
//! A few hundred of our own here; with `make faults` thousands by slowhttptest, and what they cost normal traffic.
//!
//! **Invariant:** no slow client ever falls silent: each goes on by a few bytes, well within every limit.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::figure;
use crate::harness::processes::clients_of;
use crate::harness::{PATIENCE, Program, ServerSetup, TestDatabase, TestServer, expect_within, wait_until};

/// The deadline of slow clients, one for all kinds.
const DEADLINE: Duration = Duration::from_secs(1);

/// How much later than its deadline a slow client may still be there.
const LATE: Duration = Duration::from_secs(2);

/// Slow in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slow {
    Head,
    Body,
    Reader,
}

impl Slow {
    /// A client that has begun.
    fn connect(self, address: SocketAddr) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        // Before the connection, so that the window is as small from the start (tcp(7)).
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        socket.connect(&address.into()).expect("the service");
        let mut client = TcpStream::from(socket);
        client.set_nonblocking(true).expect("a client that does not wait");
        let begin = match self {
            Self::Head => b"GET /json HTTP/1.1\r\nHost: a\r\n".to_vec(),
            Self::Body => post(60_000),
            // As many answers as no buffer between us holds; what of it goes out at once is enough.
            Self::Reader => [post(65_536), vec![b'x'; 65_536]].concat().repeat(6),
        };
        let _ = client.write(&begin);
        client
    }

    /// Goes on by a little; gives what has come.
    fn go_on(self, mut client: &TcpStream) -> Vec<u8> {
        let mut some = vec![0; 512];
        let sent = match self {
            Self::Head => client.write(b"X: y\r\n"),
            Self::Body => client.write(b"x"),
            Self::Reader => Ok(0),
        };
        // It may be closed on already, which is what is waited for.
        let read = sent.and_then(|_| client.read(&mut some)).unwrap_or_default();
        some.truncate(read);
        some
    }
}

fn post(length: usize) -> Vec<u8> {
    format!("POST /lab/echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

fn port(client: &TcpStream) -> u16 {
    client.local_addr().expect("a connected socket").port()
}

#[test]
fn slow_heads_bodies_and_readers_are_reaped_by_their_deadline_and_others_served() {
    let words = ["--header-timeout", "1s", "--idle-timeout", "1s", "--request-deadline", "1s", "--lab"];
    let server = ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none").args(&words).start();
    for slow in [Slow::Head, Slow::Body, Slow::Reader] {
        let mut last = Duration::ZERO;
        expect_within(&format!("the reaping of slow clients: {slow:?}"), DEADLINE + LATE, || {
            last = reap(&server, slow);
            last
        });
        figure(
            &format!("100 slow: {slow:?}"),
            format_args!("reaped after {last:.1?} with a deadline of {DEADLINE:?}"),
        );
    }
}

/// A hundred slow clients: says how long they were there, and sees what they are told, and that others are served meanwhile.
fn reap(server: &TestServer, slow: Slow) -> Duration {
    let clients: Vec<TcpStream> = (0..100).map(|_| slow.connect(server.address())).collect();
    let ports: BTreeSet<u16> = clients.iter().map(port).collect();
    let start = Instant::now();
    let mut answers = vec![Vec::new(); clients.len()];
    wait_until(&format!("each slow {slow:?} to be reaped"), PATIENCE, || {
        for (client, answer) in clients.iter().zip(&mut answers) {
            answer.extend(slow.go_on(client));
        }
        let mut normal = server.connect();
        assert_eq!(normal.get("/json").status, 200, "others are served");
        normal.expect_silence(Duration::from_millis(45));
        clients_of(server.pid(), server.address()).is_disjoint(&ports).then_some(())
    });
    let reaped = start.elapsed();
    assert!(reaped > DEADLINE.saturating_sub(Duration::from_millis(200)), "{slow:?} after {reaped:?}");
    if slow != Slow::Reader {
        let told = answers.iter().filter(|answer| answer.starts_with(b"HTTP/1.1 408 ")).count();
        assert_eq!(told, clients.len(), "slow {slow:?}: {:?}", String::from_utf8_lossy(&answers[0]));
    }
    reaped
}

/// A deadline that leaves time to measure while thousands of slow clients are there.
const LONG: Duration = Duration::from_secs(40);

/// How many there are: 5 000, or as many as `PLIMSOLL_TEST_SLOW_CLIENTS` says. All but a fiftieth must be there when it is measured.
fn attackers() -> usize {
    let asked = std::env::var("PLIMSOLL_TEST_SLOW_CLIENTS").ok();
    asked.map_or(5_000, |asked| asked.parse().expect("PLIMSOLL_TEST_SLOW_CLIENTS is a number"))
}

/// A name for each way, slowhttptest's words, and what it asks for.
const ATTACKS: [(&str, &[&str], &str); 3] = [
    ("heads", &["-H", "-i", "2", "-x", "8"], "/json"),
    ("bodies", &["-B", "-i", "2", "-s", "60000", "-x", "8"], "/lab/echo"),
    ("readers", &["-X", "-k", "10", "-w", "256", "-y", "512", "-n", "1", "-z", "16"], "/fortunes"),
];

/// The p99 of normal traffic, in microseconds: 32 connections that ask 2 000 times a second together, for four seconds.
fn p99_us(server: &TestServer) -> u64 {
    let url = format!("http://{}/json", server.address());
    let words = ["load", "--json", "-t", "1", "-c", "32", "-d", "4s", "--rate", "2000"];
    let all_well = ["--fail-if", "errors>0", "--fail-if", "non_2xx>0"];
    let finished = ServerSetup::of(&words).args(&all_well).arg(&url).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report: Value = serde_json::from_str(&finished.stdout).expect("a report");
    let p99 = report.pointer("/latency_us/corrected/p99").and_then(Value::as_u64);
    p99.unwrap_or_else(|| panic!("no p99 in {report}"))
}

/// A pause between two looks; finds nothing.
fn rest<T>() -> Option<T> {
    thread::park_timeout(Duration::from_millis(200));
    None
}

/// It runs when nobody else does (sched(7), `SCHED_IDLE`), as if on another machine: what is measured is what the service suffers.
fn attack(server: &TestServer, words: &[&str], path: &str) -> Program {
    let url = format!("http://{}{path}", server.address());
    let mut command = Command::new("chrt");
    command.args(["--idle", "0", "prlimit", "--nofile=20000:20000", "slowhttptest"]).args(words);
    Program::start(
        command
            .args(["-c", &attackers().to_string(), "-r", "2000", "-l", "90", "-u", &url])
            .env("TERM", "dumb"),
    )
}

#[test]
#[ignore = "minutes: make faults"]
fn five_thousand_slow_clients_of_each_kind_cost_normal_traffic_no_more_than_twice_its_p99() {
    if Command::new("slowhttptest").arg("-h").output().is_err() {
        println!("skipped: there is no slowhttptest here (Debian: apt-get install slowhttptest)");
        return;
    }
    let database = TestDatabase::create();
    let words = ["--header-timeout", "40s", "--idle-timeout", "40s", "--request-deadline", "40s", "--lab"];
    let mut dear = Vec::new();
    for (name, words_of_attack, path) in ATTACKS {
        let server = ServerSetup::with_database(&database).args(&words).start();
        // What the attacker's own work costs on this machine is not the server's doing: without it means at another one.
        let another = ServerSetup::with_database(&database).args(&words).start();
        let held = |at: &TestServer| clients_of(at.pid(), at.address()).len();
        let beside = |at: &TestServer| {
            let crowd = attack(at, words_of_attack, path);
            let there = || (held(at) >= attackers() * 49 / 50).then_some(());
            // To count thousands of sockets takes the processor time that their owner is short of: once in a while is enough.
            wait_until("most of the slow clients to be there", PATIENCE, || there().or_else(rest));
            let start = Instant::now();
            let p99 = [p99_us(&server), p99_us(&server)];
            assert!(there().is_some(), "{} slow {name} were left when it was measured", held(at));
            (crowd, start, p99)
        };
        let (crowd, _, calm) = beside(&another);
        drop(crowd);
        let (crowd, start, attacked) = beside(&server);
        wait_until("all slow clients to be reaped", LONG + LATE, || {
            (held(&server) == 0).then_some(()).or_else(rest)
        });
        let reaped = start.elapsed();
        drop(crowd);
        figure(
            &format!("{} slow {name}, by slowhttptest", attackers()),
            format_args!(
                "p99 {attacked:?} us, {calm:?} us while they are at another server; all reaped {reaped:.1?} after they were there, with a deadline of {LONG:?}"
            ),
        );
        // The better of two on each side: a burst of another program's work is neither's.
        if attacked.iter().min() > calm.map(|us| 2 * us).iter().min() {
            dear.push(format!("slow {name}: p99 {attacked:?} us, and {calm:?} us without them"));
        }
    }
    assert!(dear.is_empty(), "{dear:?}");
}
