//! Which routes there are, with the laboratory and without it.
//!
//! **Invariant:** without `--lab` a route of it is answered exactly as a path that nobody has heard of.

use super::bare;
use crate::harness::{Response, ServerSetup, request_with};

const ROUTES: [&str; 3] = ["/lab/wait?ms=0", "/lab/burn?bits=1", "/lab/echo"];

fn post(setup: ServerSetup, target: &str) -> Response {
    let server = setup.start();
    let mut client = server.connect();
    client.send([&request_with("POST", target, &["Content-Length: 5"])[..], b"hello"].concat());
    client.receive()
}

#[test]
fn without_the_flag_the_routes_are_404_as_any_unknown_path() {
    let server = bare().start();
    let mut client = server.connect();
    let unknown = client.get("/laboratory");
    for target in ROUTES {
        for method in ["GET", "POST", "OPTIONS"] {
            let response = client.ask(method, target, &[]);
            assert_eq!((response.status, &response.body), (404, &unknown.body), "{method} {target}");
        }
    }
    let response = post(bare(), "/lab/echo");
    assert_eq!(response.status, 404);
    assert!(response.announces_close(), "a body is read by nobody: {response:?}");
}

#[test]
fn the_flag_the_environment_and_the_file_turn_them_on_and_the_flag_off_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.toml");
    std::fs::write(&path, "lab = true\nburn = \"offload\"\n").unwrap();
    let with_file = || bare().arg("--config").arg(&path);
    for (setup, status) in [
        (bare().arg("--lab"), 200),
        (bare().arg("--lab=on"), 200),
        (bare().env("PLIMSOLL_LAB", "1"), 200),
        (bare().env("PLIMSOLL_LAB", "false"), 404),
        (with_file(), 200),
        (with_file().arg("--lab=off"), 404),
        (bare().env("PLIMSOLL_LAB", "true").arg("--lab=off"), 404),
    ] {
        let server = setup.start();
        let mut client = server.connect();
        assert_eq!(client.get("/lab/burn?bits=4").status, status);
        assert_eq!(client.get("/lab/wait?ms=1").status, status);
    }
}

#[test]
fn a_value_that_is_neither_yes_nor_no_stops_the_start() {
    for setup in [bare().arg("--lab=maybe"), bare().env("PLIMSOLL_LAB", "2"), bare().args(&["--burn", "up"])]
    {
        let finished = setup.run();
        assert_eq!(finished.code, Some(78), "{finished:?}");
    }
}

#[test]
fn the_banner_says_that_they_are_served() {
    let server = bare().args(&["--lab", "--burn", "offload"]).start();
    let told = server.wait_for_line("lab", |line| line.trim().strip_prefix("lab ").map(str::to_owned));
    assert!(told.contains("side pool"), "{told}");
}

#[test]
fn waiting_and_burning_have_the_methods_of_every_route_and_take_no_body() {
    let server = bare().arg("--lab").start();
    let mut client = server.connect();
    for target in ["/lab/wait?ms=0", "/lab/burn?bits=0"] {
        assert_eq!(client.head(target).status, 200, "{target}");
        let post = client.ask("POST", target, &[]);
        assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{target}");
        assert_eq!(
            client.ask("OPTIONS", target, &[]).header("allow"),
            Some("GET, HEAD, OPTIONS"),
            "{target}"
        );
        let mut other = server.connect();
        let response = other.ask("GET", target, &["Content-Length: 1"]);
        assert_eq!(response.status, 400, "{target}");
        other.expect_close();
    }
    assert_eq!(client.get("/lab/").status, 404);
    assert_eq!(client.get("/lab/waits?ms=1").status, 404);
}
