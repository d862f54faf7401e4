//! Clients that ask for more than one can ask for: thousands of requests in one write, and the dearest request hundreds deep.
//!
//! **Invariant:** which request an answer belongs to can be told from the answer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::figure;
use crate::harness::processes::memory_kib;
use crate::harness::{Client, PATIENCE, TestDatabase, TestServer, request, wait_until, worlds};

/// What a connection may make the service hold, as docs/reliability.md says: what hyper reads ahead, what is held before that, what is
/// gathered and what is unsent, 64 KiB each.
const MOST_OF_CONNECTION_KIB: u64 = 256;

/// What the service may take besides for a crowd of connections: buffers of the database, and what the allocator keeps.
const MOST_BESIDES_KIB: u64 = 16 * 1024;

/// Runs something and says by how many KiB the service's memory was higher at its highest (proc(5): `VmHWM` never falls).
fn growth_kib(server: &TestServer, run: impl FnOnce()) -> u64 {
    let before = memory_kib(server.pid(), "VmRSS");
    run();
    memory_kib(server.pid(), "VmHWM").saturating_sub(before)
}

#[test]
fn ten_thousand_requests_in_one_write_are_answered_in_order_in_bounded_memory() {
    const COUNT: usize = 10_000;
    let server = TestServer::without_database();
    let kind = |number: usize| number * number % 7 % 4;
    let mut client = server.connect();
    assert_eq!(client.get("/json").status, 200);
    let one = |number| match kind(number) {
        0 => request("GET", "/json"),
        1 => request("GET", "/plaintext"),
        2 => request("GET", "/nothing"),
        _ => request("POST", "/json"),
    };
    let bytes: Vec<u8> = (0..COUNT).flat_map(one).collect();
    let start = Instant::now();
    let growth = growth_kib(&server, || {
        let mut writer = client.writer();
        // The answers outgrow the sockets' buffers, so somebody must read while the rest is written.
        let sent = thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes));
        for number in 0..COUNT {
            let response = client.receive();
            let expected = [(200, 27), (200, 13), (404, 88), (405, 40)][kind(number)];
            assert_eq!(response.status, expected.0, "answer {number}");
            assert!(expected.0 != 200 || response.body.len() == expected.1, "answer {number}");
        }
        sent.join().unwrap().unwrap();
    });
    assert!(!client.has_more());
    assert!(growth < MOST_OF_CONNECTION_KIB + MOST_BESIDES_KIB, "{growth} KiB more than before");
    figure(
        "10 000 requests in one write",
        format_args!("all in order, {growth} KiB at the most, {:?}", start.elapsed()),
    );
}

/// So many connections, each with so many `/updates` in one write, while another asks one by one.
fn flood(connections: usize, deep: usize) {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut other = server.connect();
    assert_eq!(other.get("/db").status, 200);
    // Each asks for another number of rows than those beside it, the most being what a request may ask for.
    let rows = |number: usize| 500 - number % 20;
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut asked, mut slowest) = (0, Duration::ZERO);
    let start = Instant::now();
    let growth = growth_kib(&server, || {
        thread::scope(|scope| {
            let clients: Vec<_> = (0..connections)
                .map(|_| {
                    let (mut client, answered) = (Client::connect(server.address()), &answered);
                    scope.spawn(move || {
                        client.send(
                            (0..deep)
                                .flat_map(|number| {
                                    request("GET", &format!("/updates?queries={}", rows(number)))
                                })
                                .collect::<Vec<u8>>(),
                        );
                        for number in 0..deep {
                            let response = client.receive();
                            assert_eq!(response.status, 200, "answer {number}");
                            assert_eq!(worlds(&response).len(), rows(number), "answer {number}");
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                for client in clients {
                    client.join().expect("a flood that is answered");
                }
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                let start = Instant::now();
                assert_eq!(other.get("/db").status, 200, "others are served meanwhile");
                slowest = slowest.max(start.elapsed());
                asked += 1;
                other.expect_silence(Duration::from_millis(20));
            }
        });
    });
    let most = MOST_BESIDES_KIB + MOST_OF_CONNECTION_KIB * connections as u64;
    assert!(growth < most, "{growth} KiB more than before, of {most}");
    wait_until("all to be answered", PATIENCE, || {
        (answered.load(Ordering::Relaxed) == connections * deep).then_some(())
    });
    figure(
        &format!("{connections} floods of /updates, {deep} deep"),
        format_args!(
            "all in order in {:.1?}, {growth} KiB at the most; {asked} others served, the slowest in {slowest:.0?}",
            start.elapsed()
        ),
    );
}

#[test]
fn a_deep_flood_of_the_dearest_request_is_answered_in_order_beside_others() {
    flood(4, 20);
}

#[test]
#[ignore = "a minute: make faults"]
fn a_flood_of_updates_500_deep_is_answered_in_order_beside_others() {
    flood(8, 500);
}
