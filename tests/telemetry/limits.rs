//! The admin side's own limits: how many may ask at once, how large a question may be, and how long it may take to come.
//!
//! **Invariant:** what is within a limit is answered before anybody is sent away.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use plimsoll::config::admin::Place;
use plimsoll::telemetry::admin::MOST_CONNECTIONS;
use plimsoll::telemetry::ask::ask;

use crate::harness::{PATIENCE, ServerSetup, TestServer, wait_until};

fn start() -> (TestServer, SocketAddr) {
    let setup = ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none");
    let server = setup.env("PLIMSOLL_ADMIN", "127.0.0.1:0").start();
    let address = server.admin_address();
    (server, address)
}

/// One who connects and says `what`, and no more.
fn visitor(address: SocketAddr, what: &str) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream.write_all(what.as_bytes()).expect("a word");
    stream
}

fn was_sent_away(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a look without waiting");
    let looked = stream.read(&mut [0; 64]);
    stream.set_nonblocking(false).expect("waiting again");
    !matches!(looked, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn is_healthy(address: SocketAddr) -> Option<()> {
    let answer = ask(&Place::Tcp { address, of_port: None }, "GET", "/healthz").ok()?;
    (answer.status == 200).then_some(())
}

#[test]
fn one_place_is_enough_and_with_none_left_one_waits_until_a_silent_one_is_sent_away() {
    let (_server, address) = start();
    wait_until("the admin side to answer", PATIENCE, || is_healthy(address));
    // One place is kept for the Unix socket. A busy machine may take the two seconds that a silent one has for less than this; then it begins again.
    let mut silent = wait_until("an answer on the last place", PATIENCE, || {
        let mut silent: Vec<TcpStream> = (0..MOST_CONNECTIONS - 2).map(|_| visitor(address, "")).collect();
        is_healthy(address)?;
        (!was_sent_away(&mut silent[0])).then_some(silent)
    });
    // Half a head is no more of a question than none.
    silent.push(visitor(address, "GET /healthz HT"));
    wait_until("an answer", PATIENCE, || is_healthy(address));
    assert!(was_sent_away(&mut silent[0]), "there was no place, and yet an answer");
}

#[test]
fn a_question_of_12_kib_is_answered_and_one_of_17_is_431() {
    let (_server, address) = start();
    for (size, status) in [(12, " 200 "), (17, " 431 ")] {
        let padding = "a".repeat(size * 1024);
        let mut stream =
            visitor(address, &format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {padding}\r\n\r\n"));
        let mut answer = Vec::new();
        // A reset behind the refusal takes nothing of it away that was read.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.lines().next().is_some_and(|line| line.contains(status)), "{size} KiB: {answer}");
    }
}
