//! Clients that are gone: by a reset in the middle of an answer, or without a word, as when a cable is pulled.
//!
//! **Invariant:** what is left of them is looked for among the service's descriptors, not asked of the service.

use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::SockRef;

use super::figure;
use crate::harness::processes::{clients_of, open_descriptors};
use crate::harness::{PATIENCE, ServerSetup, TestDatabase, expect_within, request, wait_until};

#[test]
fn connections_reset_in_the_middle_of_an_answer_are_given_back_and_fill_no_log() {
    let database = TestDatabase::create();
    let server = ServerSetup::with_database(&database).start();
    for _ in 0..64 {
        assert_eq!(server.connect().get("/queries?queries=20").status, 200);
    }
    let (before, lines) = (open_descriptors(server.pid()), server.stderr().lines().count());
    let mut reset = 0;
    for round in 0..300 {
        let target = ["/queries?queries=100", "/updates?queries=10", "/fortunes", "/json"][round % 4];
        let mut client = TcpStream::connect(server.address()).unwrap();
        client.write_all(&request("GET", target).repeat(1 + round % 40)).unwrap();
        // Some have begun to be answered, some to be read, some neither.
        if round % 3 > 0 {
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            assert!(std::io::Read::read(&mut client, &mut vec![0; round]).is_ok());
        }
        // With no time to linger a close is a reset (socket(7), SO_LINGER).
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        reset += 1;
    }
    // Database connections that were not open yet may have been added: eight at the most.
    wait_until("the descriptors to be given back", Duration::from_secs(5), || {
        (open_descriptors(server.pid()) <= before + 8).then_some(())
    });
    assert_eq!(server.connect().get("/db").status, 200);
    let lines = server.stderr().lines().count() - lines;
    assert_eq!(lines, 0, "{}", server.stderr());
    figure(
        "reset in mid-response",
        format_args!("{reset} resets, no descriptor and no log line left of them"),
    );
}

/// A network of two ends: one here, the other in a name space of its own, whose link can be taken down. Both go when it is dropped.
struct Network {
    name: String,
    here: Ipv4Addr,
    link: String,
}

impl Network {
    /// None where this may not be made: it takes root, and iproute2.
    fn make() -> Option<Self> {
        let id = std::process::id();
        let octet = |shift: u32| u8::try_from(id >> shift & 0xff).unwrap_or_default();
        // 198.18.0.0/15 is for tests of networks (RFC 2544).
        let subnet = |last: u8| Ipv4Addr::new(198, 18, octet(6), (octet(0) & 0x3f) << 2 | last);
        let network = Self { name: format!("plimsoll-{id}"), here: subnet(1), link: format!("pl{id}") };
        let (name, link, other) = (&network.name, &network.link, format!("pr{id}"));
        let made = ip(&["netns", "add", name])
            .and_then(|()| ip(&["link", "add", link, "type", "veth", "peer", "name", &other, "netns", name]))
            .and_then(|()| ip(&["addr", "add", &format!("{}/30", subnet(1)), "dev", link]))
            .and_then(|()| ip(&["link", "set", link, "up"]))
            .and_then(|()| ip(&["-n", name, "addr", "add", &format!("{}/30", subnet(2)), "dev", &other]))
            .and_then(|()| ip(&["-n", name, "link", "set", &other, "up"]));
        if let Err(why) = made {
            println!(
                "skipped: no network of two ends can be made here, which takes root and iproute2: {why}"
            );
            return None;
        }
        Some(network)
    }

    /// Does something at the other end.
    fn over_there<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        let name_space = File::open(format!("/run/netns/{}", self.name)).expect("the name space");
        let enter = || {
            move_into_link_name_space(name_space.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("to enter it");
            run()
        };
        // A thread of its own, since it stays there.
        thread::scope(|scope| scope.spawn(enter).join().expect("what was done there"))
    }

    /// From here on nothing passes, and nobody is told.
    fn pull_the_cable(&self) {
        self.set_link("down");
    }

    fn plug_it_in(&self) {
        self.set_link("up");
    }

    fn set_link(&self, state: &str) {
        let other = self.link.replace("pl", "pr");
        ip(&["-n", &self.name, "link", "set", &other, state]).expect("the link to go up or down");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", &self.link]);
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(words: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(words).output().map_err(|error| format!("ip: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {}", words.join(" "), said.trim())) }
}

/// The deadline of all that a client does, and how much later it may still be there.
const DEADLINE: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(2);

#[test]
fn peers_that_vanish_without_a_word_are_reaped_whatever_they_were_doing() {
    let Some(network) = Network::make() else { return };
    let words = [
        "--idle-timeout",
        "1s",
        "--header-timeout",
        "1s",
        "--request-deadline",
        "1s",
        "--park-after",
        "200ms",
        "--lab",
    ];
    let server = ServerSetup::with_url("postgres://nobody@127.0.0.1:1/none")
        .args(&words)
        .args(&["--host", &network.here.to_string()])
        .start();
    let address = SocketAddr::from((network.here, server.address().port()));
    let unread =
        [b"POST /lab/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 65000\r\n\r\n".to_vec(), vec![b'x'; 65_000]]
            .concat();
    let requests: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"GET /json HTTP/1.1\r\nHo".to_vec(),
        request("GET", "/json"),
        request("GET", "/lab/wait?ms=500"),
        b"POST /lab/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello".to_vec(),
        unread.repeat(4),
    ];
    let connect = |bytes: &Vec<u8>| {
        let mut client = TcpStream::connect(address).expect("the service");
        SockRef::from(&client).set_recv_buffer_size(4096).expect("a small buffer");
        client.set_nonblocking(true).expect("a client that does not wait");
        // Of the largest only a part goes out: nobody reads the answers.
        let _ = client.write(bytes);
        client
    };
    let mut last = Duration::ZERO;
    expect_within("the reaping of peers that vanished", DEADLINE + LATE, || {
        network.plug_it_in();
        let clients: Vec<TcpStream> = network
            .over_there(|| (0..60).map(|number| connect(&requests[number % requests.len()])).collect());
        wait_until("all to be accepted", PATIENCE, || {
            (clients_of(server.pid(), address).len() >= clients.len() / 2).then_some(())
        });
        let lines = server.stderr().lines().count();
        network.pull_the_cable();
        let start = Instant::now();
        wait_until("all to be reaped", PATIENCE, || {
            clients_of(server.pid(), address).is_empty().then_some(())
        });
        last = start.elapsed();
        assert_eq!(server.stderr().lines().count(), lines, "{}", server.stderr());
        last
    });
    figure(
        "half-open peers",
        format_args!("60 vanished, all reaped after {last:.1?} with limits of {DEADLINE:?}"),
    );
}
