//! Where the admin side listens, what it takes there, and from whom.
//!
//! **Invariant:** what changes anything is taken by the Unix socket alone.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use plimsoll::config::admin::Place;
use plimsoll::telemetry::ask::{ask, ask_first};
use rustix::process::Signal;

use super::{by_socket, by_tcp, status};
use crate::harness::{PATIENCE, ServerSetup, TestServer};

fn setup() -> ServerSetup {
    ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none")
}

fn on_tcp() -> TestServer {
    setup().env("PLIMSOLL_ADMIN", "127.0.0.1:0").start()
}

/// The first line of the answer to a head sent as it is.
fn status_line(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn the_socket_is_its_owners_alone_and_a_dead_services_is_replaced() {
    let mut server = setup().start();
    let path = server.admin_socket();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    server.signal(Signal::KILL);
    server.wait(PATIENCE);
    assert!(path.exists(), "a killed service leaves its socket");
    let next = setup().env("PLIMSOLL_ADMIN_SOCKET", &path).start();
    let place = Place::Socket(path.clone());
    assert_eq!(ask(&place, "GET", "/healthz").unwrap().status, 200);
    let third = setup().env("PLIMSOLL_ADMIN_SOCKET", &path).run();
    assert_eq!(third.code, Some(71));
    assert!(third.stderr.contains("another service's"), "{}", third.stderr);
    assert_eq!(ask(&place, "GET", "/healthz").unwrap().status, 200, "the live one is left alone");
    drop(next);
}

#[test]
fn an_address_that_was_given_must_be_free() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let finished = setup().env("PLIMSOLL_ADMIN", &address).run();
    assert_eq!(finished.code, Some(71));
    assert!(finished.stderr.contains(&address) && finished.stderr.contains("--admin"), "{}", finished.stderr);
    let wrong = setup().env("PLIMSOLL_ADMIN", "localhost").run();
    assert_eq!(wrong.code, Some(78), "{}", wrong.stderr);
}

#[test]
fn the_default_address_goes_to_who_comes_first_and_the_next_says_so() {
    // Whoever holds it, a second service finds it taken: ours where nobody does.
    let held = TcpListener::bind("127.0.0.1:9090");
    let server = setup().env("PLIMSOLL_ADMIN", "").start();
    server.wait_for_line("word that it is off", |line| {
        (line.trim().starts_with("admin") && line.contains("off: 127.0.0.1:9090 is in use")).then_some(())
    });
    assert_eq!(by_socket(&server, "GET", "/healthz").status, 200);
    drop(held);
}

#[test]
fn the_default_socket_lies_in_the_runtime_directory_under_the_services_port() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = setup().env("PLIMSOLL_ADMIN_SOCKET", "").env("XDG_RUNTIME_DIR", folder.path()).start();
    let path = server.wait_for_line("path of the socket", |line| {
        line.trim().strip_prefix("socket").map(|path| path.trim().to_owned())
    });
    assert!(path.ends_with(&format!("/plimsoll/{}.sock", server.address().port())), "{path}");
    let health = ServerSetup::of(&["health", "--port", &server.address().port().to_string()])
        .env("PLIMSOLL_ADMIN", "")
        .env("PLIMSOLL_ADMIN_SOCKET", "")
        .env("XDG_RUNTIME_DIR", folder.path())
        .run();
    assert!(health.stderr.contains("not ready (503)"), "{}", health.stderr);
    // Root's is the machine's: it goes with the service.
    server.stop();
    assert!(!std::path::Path::new(&path).exists());
}

#[test]
fn over_tcp_changes_are_refused_with_the_way_out_and_reads_are_answered() {
    let server = on_tcp();
    let address = server.admin_address();
    for path in ["/pool/resize?total=4", "/pool/pause", "/pool/resume"] {
        let refused = by_tcp(address, "POST", path);
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.text().contains("plimsoll pool"), "{}", refused.text());
    }
    assert!(!status(&server).paused);
    for path in ["/", "/healthz", "/metrics", "/status.json", "/connections.json"] {
        assert_eq!(by_tcp(address, "GET", path).status, 200, "{path}");
    }
    let page = by_tcp(address, "GET", "/").text();
    assert!(page.starts_with("<!") && page.contains("nonce=\""), "the page has its marks");
}

#[test]
fn what_is_not_there_and_what_is_asked_wrongly_is_answered_with_what_there_is() {
    let server = setup().start();
    let missing = by_socket(&server, "GET", "/nothing");
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("/status.json") && missing.text().contains("/pool/resize"));
    let wrong = by_socket(&server, "POST", "/status.json");
    assert_eq!((wrong.status, wrong.text().contains("GET")), (405, true));
    assert_eq!(by_socket(&server, "GET", "/pool/pause").status, 405);
    assert_eq!(by_socket(&server, "POST", "/pool/resize").status, 400);
}

#[test]
fn a_name_that_could_be_made_to_point_here_is_refused_and_so_is_a_question_to_another_service() {
    let server = on_tcp();
    let address = server.admin_address();
    let line = |host: &str, more: &str| {
        status_line(address, &format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"))
    };
    assert!(line("evil.example", "").contains(" 403 "));
    assert!(line(&address.to_string(), "").contains(" 200 "));
    assert!(line("localhost", "").contains(" 200 "));
    let port = server.address().port();
    assert!(line("localhost", &format!("Plimsoll-Port: {port}\r\n")).contains(" 200 "));
    assert!(line("localhost", &format!("Plimsoll-Port: {}\r\n", port.wrapping_add(1))).contains(" 421 "));
}

#[test]
fn where_the_sockets_file_was_deleted_tcp_still_answers() {
    let server = on_tcp();
    let places = [
        Place::Socket(server.admin_socket()),
        Place::Tcp { address: server.admin_address(), of_port: Some(server.address().port()) },
    ];
    std::fs::remove_file(server.admin_socket()).unwrap();
    assert_eq!(ask_first(&places, "GET", "/status.json").unwrap().status, 200);
}

#[test]
fn many_who_ask_nothing_hold_nobody_up_for_long() {
    let server = on_tcp();
    let address = server.admin_address();
    let silent: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect_timeout(&address, PATIENCE).unwrap()).collect();
    // All places are taken; who says nothing is sent away in time.
    let answer = crate::harness::wait_until("an answer", PATIENCE, || {
        ask(&Place::Tcp { address, of_port: None }, "GET", "/healthz").ok()
    });
    assert_eq!(answer.status, 200);
    drop(silent);
}
