//! Clients that are slow on purpose: a head, a body or the reading of an answer that never ends (Slowloris and its kin).
//!
//! A few hundred of our own here; with `make faults` thousands by slowhttptest, and what they cost normal traffic.
//!
//! **Invariant:** no slow client ever falls silent: each goes on by a few bytes, well within every limit.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::figure;
use crate::harness::processes::clients_of;
use crate::harness::{PATIENCE, Program, ServerSetup, TestServer, wait_until};

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
    const DEADLINE: Duration = Duration::from_secs(1);
    let words = ["--header-timeout", "1s", "--idle-timeout", "1s", "--request-deadline", "1s", "--lab"];
    let server = ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none").args(&words).start();
    for slow in [Slow::Head, Slow::Body, Slow::Reader] {
        let clients: Vec<TcpStream> = (0..100).map(|_| slow.connect(server.address())).collect();
        let ports: BTreeSet<u16> = clients.iter().map(port).collect();
        let start = Instant::now();
        let mut normal = server.connect();
        let mut answers = vec![Vec::new(); clients.len()];
        wait_until(&format!("each slow {slow:?} to be reaped"), DEADLINE + LATE, || {
            for (client, answer) in clients.iter().zip(&mut answers) {
                answer.extend(slow.go_on(client));
            }
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
        figure(
            &format!("100 slow: {slow:?}"),
            format_args!("reaped after {reaped:.1?} with a deadline of {DEADLINE:?}"),
        );
    }
}

/// A deadline that leaves time to measure while thousands of slow clients are there.
const LONG: Duration = Duration::from_secs(20);

/// How often normal traffic is measured without them and with them.
const ROUNDS: usize = 3;

/// slowhttptest's words for each way, which all have 5 000 connections, opened within 2.5 s.
const ATTACKS: [(&str, &[&str]); 3] = [
    ("heads", &["-H", "-i", "2", "-x", "8"]),
    ("bodies", &["-B", "-i", "2", "-s", "60000", "-x", "8"]),
    ("readers", &["-X", "-k", "20", "-w", "256", "-y", "512", "-n", "1", "-z", "16"]),
];

/// The p99 of normal traffic, in microseconds: 32 connections that ask 2 000 times a second together, for four seconds.
fn p99_us(server: &TestServer) -> u64 {
    let url = format!("http://{}/json", server.address());
    let words = [
        "load",
        "--json",
        "-t",
        "1",
        "-c",
        "32",
        "-d",
        "4s",
        "--rate",
        "2000",
        "--fail-if",
        "errors>0",
        "--fail-if",
        "non_2xx>0",
    ];
    let finished = ServerSetup::of(&words).arg(&url).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report: Value = serde_json::from_str(&finished.stdout).expect("a report");
    let p99 = report.pointer("/latency_us/corrected/p99").and_then(Value::as_u64);
    p99.unwrap_or_else(|| panic!("no p99 in {report}"))
}

fn attack(server: &TestServer, words: &[&str], path: &str) -> Program {
    let url = format!("http://{}{path}", server.address());
    let mut command = Command::new("prlimit");
    command.args(["--nofile=20000:20000", "slowhttptest", "-c", "5000", "-r", "2000", "-l", "60", "-p", "3"]);
    Program::start(command.args(words).args(["-u", &url]).env("TERM", "dumb"))
}

fn median(mut of: Vec<u64>) -> u64 {
    of.sort_unstable();
    of[of.len() / 2]
}

#[test]
#[ignore = "minutes: make faults"]
fn five_thousand_slow_clients_of_each_kind_cost_normal_traffic_no_more_than_twice_its_p99() {
    if Command::new("slowhttptest").arg("-h").output().is_err() {
        println!("skipped: there is no slowhttptest here (Debian: apt-get install slowhttptest)");
        return;
    }
    let words = ["--header-timeout", "20s", "--idle-timeout", "20s", "--request-deadline", "20s", "--lab"];
    for (name, words_of_attack) in ATTACKS {
        let (mut calm, mut attacked, mut reaped) = (Vec::new(), Vec::new(), Duration::ZERO);
        for _ in 0..ROUNDS {
            let server = ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none").args(&words).start();
            let held = || clients_of(server.pid(), server.address()).len();
            calm.push(p99_us(&server));
            let path = if name == "readers" { "/plaintext" } else { "/lab/echo" };
            let crowd = attack(&server, words_of_attack, path);
            wait_until("most of the slow clients to be there", PATIENCE, || (held() >= 4_900).then_some(()));
            let there = Instant::now();
            attacked.push(p99_us(&server));
            assert!(held() >= 4_900, "{} slow {name} were left when it was measured", held());
            wait_until("all slow clients to be reaped", LONG + LATE, || (held() == 0).then_some(()));
            reaped = reaped.max(there.elapsed());
            drop(crowd);
        }
        let (calm, attacked) = (median(calm), median(attacked));
        figure(
            &format!("5 000 slow {name} by slowhttptest"),
            format_args!(
                "p99 {attacked} us beside {calm} us without; all reaped {reaped:.1?} after they were there, with a deadline of {LONG:?}"
            ),
        );
        assert!(attacked <= 2 * calm, "slow {name}: p99 {attacked} us, and {calm} us without them");
    }
}
