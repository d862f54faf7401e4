//! "Everything else a client can send", first rows: unknown paths and other methods.
//!
//! **Invariant:** after each answer the connection is used again, unless the answer said that it closes.

use crate::harness::{TestDatabase, TestServer, request_with};

const ROUTES: [&str; 7] =
    ["/json", "/plaintext", "/db", "/queries", "/updates", "/fortunes", "/cached-queries"];

#[test]
fn an_unknown_path_is_404_and_says_so() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    for target in
        ["/", "/nothing", "/json/", "/jso", "/jsonx", "/%6Ason", "//json", "/db/1", "/../json", "/?queries=1"]
    {
        let response = client.get(target);
        assert_eq!(response.status, 404, "{target}: {response:?}");
        assert!((1..1000).contains(&response.body.len()), "{target}: a short body: {response:?}");
        let kind = response.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/plain") || kind.starts_with("application/json"), "{target}: {kind}");
    }
    assert_eq!(client.get("/json").status, 200);
}

#[test]
fn a_known_path_with_another_method_is_405_with_allow() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    for target in ROUTES {
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "get", "GETS"] {
            let response = client.ask(method, target, &[]);
            assert_eq!(response.status, 405, "{method} {target}: {response:?}");
            assert_allows(response.header("allow"), method, target);
        }
    }
    assert_eq!(client.get("/plaintext").status, 200);
    assert_eq!(database.world_selects(), (0, 0), "a refused method reached the database");
}

fn assert_allows(allow: Option<&str>, method: &str, target: &str) {
    let allow = allow.unwrap_or_else(|| panic!("{method} {target}: no Allow"));
    let mut methods: Vec<&str> = allow.split(',').map(str::trim).collect();
    methods.sort_unstable();
    assert_eq!(methods, ["GET", "HEAD", "OPTIONS"], "{method} {target}: {allow}");
}

#[test]
fn options_lists_the_methods() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    for target in ROUTES {
        let response = client.ask("OPTIONS", target, &[]);
        assert!([200, 204].contains(&response.status), "{target}: {response:?}");
        assert_allows(response.header("allow"), "OPTIONS", target);
        if response.status == 204 {
            // RFC 9110, 8.6: never in a 204.
            assert_eq!(response.header("content-length"), None, "{response:?}");
        }
    }
    assert_eq!(client.ask("OPTIONS", "/nothing", &[]).status, 404);
    assert_eq!(client.get("/plaintext").status, 200);
}

#[test]
fn options_of_the_server_as_a_whole_is_answered() {
    let server = TestServer::without_database();
    let response = server.connect().ask("OPTIONS", "*", &[]);
    assert!([200, 204, 404].contains(&response.status), "{response:?}");
}

#[test]
fn head_is_a_get_without_its_body() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    for target in ROUTES {
        let got = client.get(target);
        let head = client.head(target);
        assert_eq!(head.status, 200, "{target}: {head:?}");
        for name in ["content-type", "server"] {
            assert_eq!(head.header(name), got.header(name), "{target}: {name}");
        }
        assert!(head.header("date").is_some(), "{target}: {head:?}");
        let names =
            |headers: &[(String, String)]| headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&head.headers), names(&got.headers), "{target}: the same headers in the same order");
        let (length, of_get) = (head.content_length().unwrap(), got.body.len());
        if ["/json", "/plaintext", "/fortunes"].contains(&target) {
            assert_eq!(length, of_get, "{target}: the length of the body that a GET has");
        } else {
            // Rows differ in their digits: 3 to 10 more or fewer.
            assert!(length.abs_diff(of_get) <= 8, "{target}: {length} where a GET had {of_get}");
        }
        // Any byte of a body would stand before this answer.
        assert_eq!(client.get("/plaintext").text(), "Hello, World!", "after HEAD {target}");
    }
}

#[test]
fn head_of_an_unknown_path_is_404_without_a_body() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    assert_eq!(client.head("/nothing").status, 404);
    assert_eq!(client.get("/plaintext").text(), "Hello, World!");
}

#[test]
fn a_post_with_a_body_is_405_and_its_body_is_never_read_as_a_request() {
    let server = TestServer::without_database();
    for body in ["GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n", "hello", "\r\n\r\n"] {
        let mut client = server.connect();
        let length = format!("Content-Length: {}", body.len());
        client.send(request_with("POST", "/json", &[&length]));
        client.send(body);
        let response = client.receive();
        assert_eq!(response.status, 405, "{response:?}");
        assert_allows(response.header("allow"), "POST", "/json");
        if response.announces_close() {
            client.expect_close();
        } else {
            assert_eq!(client.get("/json").text(), r#"{"message":"Hello, World!"}"#, "an answer to the body");
        }
    }
}

#[test]
fn a_post_that_waits_for_100_is_405_at_once() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    client.send(request_with("POST", "/json", &["Content-Length: 1000000", "Expect: 100-continue"]));
    assert_eq!(client.receive().status, 405, "no 100 before it: the body is not wanted");
}

#[test]
fn a_large_post_is_405_and_its_answer_can_be_read() {
    let server = TestServer::without_database();
    for expect in [None, Some("X-Nothing: expected")] {
        let mut client = server.connect();
        let body = vec![b'x'; 2 * 1024 * 1024];
        let length = format!("Content-Length: {}", body.len());
        let headers: Vec<&str> = [Some(length.as_str()), expect].into_iter().flatten().collect();
        client.send(request_with("POST", "/json", &headers));
        // The server may stop reading; what counts is that the answer is not lost to a reset.
        let _ = client.try_send(&body);
        let response = client.receive();
        assert_eq!(response.status, 405, "{response:?}");
    }
}
