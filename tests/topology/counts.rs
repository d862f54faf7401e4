//! How many there are of what: workers, processes, database connections; and what the processes are told.
//!
//! **Invariant:** the sums are those of the interface's "The plan".

use super::two_processes;
use crate::harness::processes::words_of;
use crate::harness::{ServerSetup, TestDatabase, TestServer};

const NOWHERE: &str = "postgres://me:hunter2@127.0.0.1:1/none";

fn banner(server: &TestServer, name: &str) -> String {
    server.wait_for_line(name, |line| line.trim().strip_prefix(name).map(|rest| rest.trim().to_owned()))
}

#[test]
fn fifty_three_processes_have_a_database_connection_each_and_are_told_that_this_is_many() {
    let mut server = ServerSetup::of(&["serve", "--port", "0", "--processes", "53", "--workers", "1"])
        .env("DATABASE_URL", NOWHERE)
        .start();
    assert!(banner(&server, "topology").starts_with("53 processes × 1 worker, accept reuseport"));
    assert!(banner(&server, "workers").starts_with("53 ("));
    let pool = banner(&server, "pool");
    assert!(pool.starts_with("53 database connections = one for each of 53 workers"), "{pool}");
    assert!(banner(&server, "note").contains("outside 3 to 6"));
    server.children(53);
    let finished = server.stop();
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
fn workers_by_default_are_the_cores_divided_by_the_processes() {
    let shown = |processes: &str| {
        let finished = ServerSetup::of(&["serve", "--show-config", "--processes", processes])
            .env("DATABASE_URL", NOWHERE)
            .run();
        let line = finished.stdout.lines().find(|line| line.starts_with("workers "));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok())
            .expect("a number of workers")
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    assert_eq!(shown("1"), cores);
    assert_eq!(shown("2"), (cores / 2).max(1));
    assert_eq!(shown("1000"), 1);
}

#[test]
fn no_password_stands_in_the_words_of_a_process() {
    for setup in [
        ServerSetup::of(&["serve", "--port", "0", "--processes", "2"]).env("DATABASE_URL", NOWHERE),
        ServerSetup::of(&["serve", "--port", "0", "--processes", "2"])
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", "1")
            .env("PGPASSWORD", "hunter2"),
    ] {
        let server = setup.start();
        for child in server.children(2) {
            let words = words_of(child);
            assert!(words.iter().any(|word| word.starts_with("--process-index=")), "{words:?}");
            assert!(!words.iter().any(|word| word.contains("hunter2")), "{words:?}");
        }
    }
}

#[test]
fn a_setting_of_the_file_holds_for_the_processes_even_when_the_file_is_gone() {
    let database = TestDatabase::create();
    let (folder, path) = super::settings_file("request-deadline = '1234ms'\n");
    let server = two_processes(&database, "reuseport").env("PLIMSOLL_CONFIG", &path).start();
    drop(folder);
    let first = server.children(2);
    crate::harness::processes::signal(first[0], rustix::process::Signal::KILL);
    server.wait_for_lines("process 0 serves again", 1);
    for child in server.children(2) {
        assert!(words_of(child).contains(&"--request-deadline=1234ms".to_owned()), "{:?}", words_of(child));
    }
    assert_eq!(server.connect().get("/db").status, 200);
}
