//! `plimsoll health`: what an image's health check calls.
//!
//! **Invariant:** it ends by itself, soon, whatever the other side does.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::harness::{ServerSetup, TestServer, unused_port};

fn code_at(port: u16) -> Option<i32> {
    ServerSetup::of(&["health", "--port", &port.to_string()]).run().code
}

#[test]
fn health_is_0_while_the_service_answers_and_1_afterwards() {
    let mut server = TestServer::without_database();
    let port = server.address().port();
    assert_eq!(code_at(port), Some(0));
    server.stop();
    assert_eq!(code_at(port), Some(1));
}

#[test]
fn health_is_1_where_nothing_listens() {
    let finished = ServerSetup::of(&["health", "--port", &unused_port().to_string()]).run();
    assert_eq!(finished.code, Some(1));
    assert!(!finished.stderr.is_empty(), "it says why");
}

#[test]
fn health_reads_host_and_port_from_the_environment() {
    let server = TestServer::without_database();
    let port = server.address().port().to_string();
    let code = |host: &str| ServerSetup::of(&["health"]).env("PORT", &port).env("HOST", host).run().code;
    assert_eq!(code("127.0.0.1"), Some(0));
    // The image listens on all addresses, and the same variable is in force for its health check.
    assert_eq!(code("0.0.0.0"), Some(0));
}

#[test]
fn health_is_1_where_something_else_answers_or_nothing_comes() {
    for answer in [
        "",
        "SSH-2.0-other\r\n",
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 x\r\n\r\n",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let other = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
            // Where nothing is answered, the connection stays open until the other side gives up.
            let _ = stream.read(&mut [0; 1024]);
        });
        let start = Instant::now();
        assert_eq!(code_at(port), Some(1), "{answer:?}");
        assert!(start.elapsed() < Duration::from_secs(15), "{answer:?} after {:?}", start.elapsed());
        other.join().unwrap();
    }
}
