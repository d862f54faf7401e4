//! Socket activation: the service is given an open listener as its descriptor 3.
//!
//! **Invariant:** the listener is the test's, and stays open in the test when the service has ended, as it stays in systemd.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use crate::harness::{Client, PATIENCE, ServerSetup, TestServer, request, unused_port};

/// What systemd does between fork and exec; the socket comes as standard input.
const HAND_ON: &str = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http; export LISTEN_PID LISTEN_FDS LISTEN_FDNAMES; exec \"$@\" 3<&0 </dev/null";

fn unit(words: &[&str]) -> ServerSetup {
    let nobody = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    // The port is another program's, for all that the service knows, and does not matter.
    ServerSetup::by("sh", &["-c", HAND_ON, "sh", env!("CARGO_BIN_EXE_plimsoll"), "serve", "--port", "1"])
        .args(words)
        .env("DATABASE_URL", nobody)
}

fn start(words: &[&str], listener: &TcpListener) -> TestServer {
    let passed = OwnedFd::from(listener.try_clone().expect("another descriptor"));
    unit(words).start_reading(Stdio::from(passed))
}

#[test]
fn a_listener_that_is_passed_is_served_in_every_way_of_accepting_and_by_the_next_service_after_a_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting: Option<Client> = None;
    for (words, accept) in [
        (["--processes", "1", "--workers", "2", "--accept", "reuseport"], "accept shared"),
        (["--processes", "1", "--workers", "2", "--accept", "handoff"], "accept handoff"),
        (["--processes", "2", "--workers", "1", "--accept", "reuseport"], "accept shared"),
    ] {
        let mut server = start(&words, &listener);
        assert_eq!(server.address(), address, "{words:?}");
        server.wait_for_line("way of accepting", |line| line.contains(accept).then_some(()));
        if let Some(mut waiting) = waiting.take() {
            assert_eq!(waiting.receive().status, 200, "it waited for this service: {words:?}");
        }
        for _ in 0..4 {
            assert_eq!(Client::connect(address).get("/json").status, 200, "{words:?}");
        }
        for child in crate::harness::processes::children_of(server.pid()) {
            let environment = fs::read(format!("/proc/{child}/environ")).unwrap();
            let environment = String::from_utf8_lossy(&environment);
            assert!(
                !environment.contains("LISTEN_FDS=") && !environment.contains("LISTEN_PID="),
                "{environment}"
            );
        }
        assert_eq!(server.stop().code, Some(0), "{words:?}");
        waiting = Some(ask_the_next(address));
    }
}

/// A client whom nobody serves yet: the kernel has its connection and its request.
fn ask_the_next(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    client.send(request("GET", "/json"));
    client
}

#[test]
fn a_socket_that_cannot_be_served_is_refused_with_its_name_and_the_mend() {
    let connected = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = std::net::TcpStream::connect(connected.local_addr().unwrap()).unwrap();
    for (socket, words) in [
        (OwnedFd::from(UnixDatagram::unbound().unwrap()), ["\"http\"", "ListenStream="]),
        (OwnedFd::from(connected), ["does not listen", "Accept=no"]),
    ] {
        let mut setup = unit(&[]);
        let mut program = crate::harness::Program::start_reading(setup.command(), Stdio::from(socket));
        let finished = program.wait(PATIENCE);
        assert_eq!(finished.code, Some(71), "{finished:?}");
        assert!(words.iter().all(|word| finished.stderr.contains(word)), "{finished:?}");
    }
}

#[test]
fn listeners_that_are_meant_for_another_process_are_left_alone() {
    let server = ServerSetup::of(&["serve", "--port", "0", "--workers", "1"])
        .env("DATABASE_URL", format!("postgres://nobody@127.0.0.1:{}/none", unused_port()))
        .env("LISTEN_FDS", "1")
        .env("LISTEN_PID", "1")
        .start();
    assert_eq!(server.connect().get("/json").status, 200);
}
