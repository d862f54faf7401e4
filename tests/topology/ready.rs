//! Processes that never come to serve, at the start and later.
//!
//! **Invariant:** such a process runs, and is silent: its end is the supervisor's doing.

use std::net::TcpListener;

use rustix::process::Signal;

use super::Replaceable;
use crate::harness::processes::{signal, words_of};
use crate::harness::{PATIENCE, ServerSetup, TestDatabase, wait_until};

const WORDS: [&str; 9] =
    ["serve", "--port", "0", "--processes", "2", "--workers", "1", "--max-connections", "64"];

#[test]
fn a_start_in_which_no_process_comes_to_serve_ends_and_says_so() {
    let program = Replaceable::create();
    // The first look at the database holds the start up, until the program is another one.
    let database = TcpListener::bind("127.0.0.1:0").unwrap();
    database.set_nonblocking(true).unwrap();
    let port = database.local_addr().unwrap().port();
    let url = format!("postgres://nobody@127.0.0.1:{port}/none");
    let mut server = ServerSetup::by(program.path(), &WORDS).env("DATABASE_URL", url).launch();
    let asked = wait_until("the first look at the database", PATIENCE, || database.accept().ok());
    program.replace_by_a_silent_one();
    drop((asked, database));
    let finished = server.wait(PATIENCE);
    assert_eq!(finished.code, Some(71), "{finished:?}");
    assert!(finished.stderr.contains("none of the 2 processes came to serve"), "{}", finished.stderr);
}

#[test]
fn a_process_that_never_comes_to_serve_is_killed_and_started_again() {
    let database = TestDatabase::create();
    let program = Replaceable::create();
    let server = ServerSetup::by(program.path(), &WORDS).env("DATABASE_URL", database.url()).start();
    let children = server.children(2);
    program.replace_by_a_silent_one();
    signal(children[0], Signal::KILL);
    wait_until("a silent process", PATIENCE, || {
        server
            .children(2)
            .into_iter()
            .find(|child| words_of(*child).first().is_some_and(|word| word == "sleep"))
    });
    program.restore();
    server.wait_for_lines("did not serve within 10s and is killed", 1);
    server.wait_for_lines("process 0 serves again", 1);
    assert!(server.children(2).contains(&children[1]));
    for _ in 0..4 {
        assert_eq!(server.connect().get("/db").status, 200);
    }
}
