//! More clients than descriptors.
//!
//! **Invariant:** running out of descriptors costs the clients that came too many, and ends nothing.

use std::time::Duration;

use crate::harness::processes::{limit_descriptors, open_descriptors};
use crate::harness::{Client, ServerSetup, TestDatabase, TestServer, request, wait_until};

/// A limit that leaves room for the workers, the database connections, and some clients.
const LIMIT: u64 = 80;

#[test]
fn a_full_descriptor_table_is_outlived() {
    let database = TestDatabase::create();
    let mut server = TestServer::on(&database);
    let mut first = server.connect();
    assert_eq!(first.get("/db").status, 200);
    // Lower than what its own --max-connections was worked out from.
    limit_descriptors(server.pid(), Some(LIMIT));
    let crowd: Vec<Client> = (0..150).map(|_| server.connect()).collect();
    for _ in 0..20 {
        assert_eq!(first.get("/json").status, 200, "those who are in are served");
    }
    drop(crowd);
    wait_until("new clients to be served again", Duration::from_secs(10), || {
        let mut client = Client::try_connect(server.address()).ok()?;
        client.try_send("GET /db HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
        client.try_receive().is_ok_and(|response| response.status == 200).then_some(())
    });
    let lines = server.stderr().lines().count();
    assert!(lines < 40, "a starved service fills the log:\n{}", server.stderr());
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn no_descriptor_is_lost_to_clients_of_any_kind() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    // The pool opens on first use, on both workers.
    for _ in 0..64 {
        assert_eq!(server.connect().get("/queries?queries=20").status, 200);
    }
    let before = open_descriptors(server.pid());
    for _ in 0..50 {
        for bytes in [
            request("GET", "/db"),
            request("GET", "/updates?queries=20"),
            b"GET /json HTTP/1.0\r\n\r\n".to_vec(),
            b"GET /json HTTP/1.1\r\n\r\n".to_vec(),
            b"GET /json HT".to_vec(),
            b"POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello".to_vec(),
            Vec::new(),
        ] {
            let mut patient = server.connect();
            patient.send(&bytes);
            if bytes.ends_with(b"\r\n\r\n") {
                patient.receive();
            }
            server.connect().send(&bytes);
        }
    }
    // Database connections that were not open yet may have been added: eight at the most.
    wait_until("the descriptors to be given back", Duration::from_secs(10), || {
        (open_descriptors(server.pid()) <= before + 8).then_some(())
    });
}

#[test]
fn a_client_that_never_reads_does_not_hold_its_connection_for_ever() {
    let database = TestDatabase::create();
    let server = ServerSetup::with_database(&database)
        .args(&["--idle-timeout", "500ms", "--header-timeout", "500ms"])
        .start();
    let greedy = server.connect();
    // The answers, 28 MB of them, outgrow every buffer between us long before the last one.
    let mut writer = greedy.writer();
    // Fixed, its buffer does not grow to megabytes, which would have to be filled first (tcp(7), `tcp_moderate_rcvbuf`).
    socket2::SockRef::from(&writer).set_recv_buffer_size(4096).expect("a small buffer");
    let sent = std::thread::spawn(move || {
        let _ = std::io::Write::write_all(&mut writer, &request("GET", "/fortunes").repeat(20_000));
    });
    // Its own end of the connection stays open; only the server can give its descriptor back.
    assert_eq!(tcp_connections(&server), 1);
    wait_until("the server to give the connection up", Duration::from_secs(20), || {
        (tcp_connections(&server) == 0).then_some(())
    });
    sent.join().unwrap();
    drop(greedy);
}

/// Connections that clients have with the server's port, as the server's side of them stands in the kernel's table.
fn tcp_connections(server: &TestServer) -> usize {
    let port = format!(":{:04X}", server.address().port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let established = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1).is_some_and(|local| local.ends_with(&port)) && fields.get(3) == Some(&"01")
    };
    table.lines().filter(established).count()
}
