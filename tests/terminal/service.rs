//! `status`, `connections` and `top` beside a real service.
//!
//! **Invariant:** counts are compared exactly with what was asked.

use plimsoll::telemetry::listing::Listing;
use plimsoll::telemetry::status::Status;
use serde_json::Value;

use crate::harness::{Finished, PATIENCE, Pty, ServerSetup, TestDatabase, TestServer, request, wait_until};

/// A command that asks a service by its socket, run to its end, which must be a good one.
fn ask(server: &TestServer, words: &[&str]) -> Finished {
    let finished = ServerSetup::of(words).arg("--admin-socket").arg(server.admin_socket()).run();
    assert_eq!(finished.code, Some(0), "{words:?}: {finished:?}");
    finished
}

fn status_json(server: &TestServer) -> Status {
    let page = ask(server, &["status", "--json"]).stdout;
    serde_json::from_str(&page).unwrap_or_else(|error| panic!("{error}: {page}"))
}

fn listing(server: &TestServer, words: &[&str]) -> Listing {
    let page = ask(server, &[&["connections", "--json"], words].concat()).stdout;
    serde_json::from_str(&page).unwrap_or_else(|error| panic!("{error}: {page}"))
}

/// One with a worker in each process, and these words.
fn with_one_worker(database: &TestDatabase, words: &[&str]) -> TestServer {
    let setup = ServerSetup::of(&["serve", "--port", "0", "--workers", "1"]).args(words);
    setup.env("DATABASE_URL", database.url()).start()
}

/// Sends so many requests by `plimsoll load`; gives what it says of them.
fn load(server: &TestServer, requests: u32, path: &str) -> Value {
    let url = format!("http://{}{path}", server.address());
    let finished =
        ServerSetup::of(&["load", "-t1", "-c8", "--json", "-n", &requests.to_string(), &url]).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

#[test]
fn status_agrees_with_the_load_generator_to_the_last_request() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    load(&server, 1_234, "/db");
    load(&server, 766, "/json");
    let status = status_json(&server);
    assert_eq!(status.totals.requests(), 2_000);
    assert_eq!(status.totals.database_time.count(), 1_234);
    let text = ask(&server, &["status"]).stdout;
    assert!(text.contains("2 000 answered, 0 of them with 5xx"), "{text}");
    let row = |begin: &str| {
        text.lines().find(|line| line.trim_start().starts_with(begin)).unwrap_or_else(|| panic!("{text}"))
    };
    assert!(row("all ").split_whitespace().any(|word| word == "2000"), "{text}");
    assert!(row("listening").ends_with(&server.address().to_string()), "{text}");
    let workers: u64 = status.processes[0].workers.iter().map(|worker| worker.requests).sum();
    assert_eq!(workers, 2_000);
}

#[test]
fn no_quantile_of_the_service_is_above_that_of_its_clients() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let seen = load(&server, 2_000, "/db");
    let status = status_json(&server);
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
        let theirs =
            seen.pointer(&format!("/latency_us/raw/{name}")).and_then(Value::as_u64).expect("a quantile");
        let ours = status.totals.request_time.quantile(share).expect("a quantile").as_micros();
        // Each request's time with the service lies within its client's, which is in whole microseconds.
        assert!(ours <= u128::from(theirs) + 1, "{name}: {ours} µs, and the client's {theirs} µs");
    }
}

#[test]
fn status_has_a_row_for_every_process() {
    let database = TestDatabase::create();
    let server = with_one_worker(&database, &["--processes", "3"]);
    load(&server, 300, "/json");
    let children = server.children(3);
    let text = ask(&server, &["status"]).stdout;
    for pid in &children {
        assert!(text.contains(&format!(" {pid} ")), "no {pid} in\n{text}");
    }
    assert!(text.contains("3 processes of 1 worker") && text.contains("300 answered"), "{text}");
}

#[test]
fn status_answers_while_every_worker_is_busy() {
    let database = TestDatabase::create();
    let server = with_one_worker(&database, &["--lab"]);
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    // Seconds of work for each on the only worker's thread, which answers nobody meanwhile.
    for client in &mut clients {
        client.send(request("GET", "/lab/burn?bits=24"));
    }
    let page = wait_until("a page that came while the worker was at it", PATIENCE, || {
        let page = ask(&server, &["status"]).stdout;
        page.contains("; 1 in progress;").then_some(page)
    });
    assert!(page.contains("is ready"), "{page}");
}

#[test]
fn status_goes_over_tcp_when_the_sockets_file_is_gone() {
    let database = TestDatabase::create();
    let server = ServerSetup::with_database(&database).args(&["--admin", "127.0.0.1:0"]).start();
    let (admin, socket) = (server.admin_address().to_string(), server.admin_socket());
    std::fs::remove_file(&socket).unwrap();
    let socket = socket.to_str().unwrap();
    let by_both = ServerSetup::of(&["status", "--admin", &admin, "--admin-socket", socket]).run();
    assert_eq!(by_both.code, Some(0), "{by_both:?}");
    assert!(by_both.stdout.contains("is ready"), "{by_both:?}");
    let by_socket = ServerSetup::of(&["status", "--admin-socket", socket]).run();
    assert_eq!(by_socket.code, Some(1), "{by_socket:?}");
}

#[test]
fn connections_are_counted_filtered_and_sampled() {
    let database = TestDatabase::create();
    let server = ServerSetup::with_database(&database).args(&["--park-after", "200ms"]).start();
    let mut clients: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/json").status, 200);
    }
    server.wait_until_parked(12);
    let all = listing(&server, &["--rows", "5"]);
    assert_eq!((all.count, all.open, all.rows.len()), (12, 12, 5));
    assert_eq!(listing(&server, &["--state", "parked"]).count, 12);
    assert_eq!(listing(&server, &["--state", "handling"]).count, 0);
    assert_eq!(listing(&server, &["--peer", "127.0.0.1"]).count, 12);
    assert_eq!(listing(&server, &["--peer", "192.0.2.1"]).count, 0);
    assert_eq!(listing(&server, &["--idle-for", "1h"]).count, 0);
    let text = ask(&server, &["connections", "--rows", "3"]).stdout;
    for words in [
        "12 open connections",
        "by state     12 parked",
        "by peer      12 127.0.0.1",
        "3 of 12, evenly spread",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    assert_eq!(text.lines().filter(|line| line.contains("127.0.0.1:")).count(), 3, "{text}");
}

#[test]
fn top_shows_the_rows_of_a_real_service() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    load(&server, 500, "/db");
    let socket = server.admin_socket();
    let mut setup = ServerSetup::on_a_terminal(&["top", "--admin-socket"]).arg(socket);
    let mut pty = Pty::start(setup.command(), 120, 40);
    pty.wait_for(&format!(" {}  ", server.pid()));
    pty.wait_for_glass("all requests in the sum", |text| {
        text.lines().any(|line| line.trim_start().starts_with("all") && line.contains(" 500 "))
    });
    pty.press("q");
    assert_eq!(pty.wait(PATIENCE), Some(0));
}
