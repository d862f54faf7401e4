//! "Everything else a client can send": framing that two readers could take differently.
//!
//! **Invariant:** whatever stands where a body could be is never answered as a request.

use crate::harness::{ServerSetup, TestServer, request_with, unused_port};

/// A request that would be answered if a body were taken for it.
const HIDDEN: &str = "GET /plaintext HTTP/1.1\r\nHost: hidden\r\n\r\n";

/// One server as it is by default, and one with a route that takes bodies: neither may be laxer than the other.
fn servers() -> [TestServer; 2] {
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    [TestServer::without_database(), ServerSetup::with_url(&url).arg("--lab").start()]
}

fn expect_400_and_nothing_more(server: &TestServer, what: &str, headers: &[&str], body: &str) {
    for target in ["/json", "/plaintext", "/fortunes"] {
        let mut client = server.connect();
        client.send(request_with("GET", target, headers));
        let _ = client.try_send(format!("{body}{HIDDEN}"));
        let response = client.try_receive().unwrap_or_else(|why| panic!("{what} on {target}: {why}"));
        assert_eq!(response.status, 400, "{what} on {target}: {response:?}");
        client.expect_close();
    }
}

#[test]
fn any_transfer_encoding_on_a_get_is_400() {
    for server in servers() {
        for coding in [
            "chunked",
            "Chunked",
            "identity",
            "gzip, chunked",
            "chunked, identity",
            "xchunked",
            "\"chunked\"",
            "",
        ] {
            let header = format!("Transfer-Encoding: {coding}");
            expect_400_and_nothing_more(&server, &header, &[&header], "0\r\n\r\n");
        }
        expect_400_and_nothing_more(
            &server,
            "two of them",
            &["Transfer-Encoding: identity", "Transfer-Encoding: chunked"],
            "0\r\n\r\n",
        );
    }
}

#[test]
fn a_content_length_above_0_on_a_get_is_400() {
    for server in servers() {
        let length = format!("Content-Length: {}", HIDDEN.len());
        expect_400_and_nothing_more(&server, "a body that is a request", &[&length], "");
        expect_400_and_nothing_more(&server, "a body of 1", &["Content-Length: 1"], "x");
        expect_400_and_nothing_more(
            &server,
            "a body that never comes whole",
            &["Content-Length: 99999"],
            "x",
        );
    }
}

#[test]
fn a_content_length_of_0_on_a_get_is_no_body() {
    for server in servers() {
        let mut client = server.connect();
        assert_eq!(client.ask("GET", "/json", &["Content-Length: 0"]).status, 200);
        assert_eq!(client.get("/plaintext").status, 200);
    }
}

#[test]
fn transfer_encoding_and_content_length_at_once_are_400() {
    for server in servers() {
        for (length, coding) in [("0", "chunked"), ("5", "chunked"), ("44", "chunked"), ("5", "identity")] {
            let (length, coding) =
                (format!("Content-Length: {length}"), format!("Transfer-Encoding: {coding}"));
            expect_400_and_nothing_more(&server, "length first", &[&length, &coding], "0\r\n\r\n");
            expect_400_and_nothing_more(&server, "coding first", &[&coding, &length], "0\r\n\r\n");
        }
    }
}

#[test]
fn two_differing_lengths_are_400() {
    for server in servers() {
        for pair in [["0", "5"], ["5", "0"], ["5", "6"], ["0", "00x"]] {
            let (first, second) =
                (format!("Content-Length: {}", pair[0]), format!("Content-Length: {}", pair[1]));
            expect_400_and_nothing_more(&server, &format!("{pair:?}"), &[&first, &second], "hello");
        }
        expect_400_and_nothing_more(&server, "a list", &["Content-Length: 5, 6"], "hello");
        expect_400_and_nothing_more(&server, "a list with 0", &["Content-Length: 0, 5"], "hello");
    }
}

#[test]
fn a_length_that_is_no_number_is_400() {
    for server in servers() {
        for length in ["-1", "+5", "5x", "0x5", "", "99999999999999999999999", "5 5"] {
            let header = format!("Content-Length: {length}");
            expect_400_and_nothing_more(&server, &header, &[&header], "hello");
        }
    }
}

#[test]
fn the_same_framing_on_other_methods_is_refused_and_never_read_on() {
    for server in servers() {
        let cases: [&[&str]; 4] = [
            &["Content-Length: 5", "Transfer-Encoding: chunked"],
            &["Transfer-Encoding: chunked", "Content-Length: 0"],
            &["Content-Length: 5", "Content-Length: 6"],
            &["Transfer-Encoding: identity"],
        ];
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"] {
            for headers in cases {
                let mut client = server.connect();
                client.send(request_with(method, "/json", headers));
                let _ = client.try_send(format!("0\r\n\r\n{HIDDEN}"));
                let response = client.receive_without_body();
                let refused = [400, 405, 501].contains(&response.status);
                // A body on OPTIONS means nothing; what counts is that the connection ends with it.
                let harmless = method == "OPTIONS" && [200, 204].contains(&response.status);
                assert!(refused || harmless, "{method} {headers:?}: {response:?}");
                assert!(response.announces_close(), "{method} {headers:?}: {response:?}");
            }
        }
    }
}

#[test]
fn a_chunked_post_is_refused_and_its_chunks_are_never_read_as_requests() {
    for server in servers() {
        let mut client = server.connect();
        client.send(request_with("POST", "/json", &["Transfer-Encoding: chunked"]));
        let _ = client.try_send(format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len()));
        let response = client.receive();
        assert!([400, 405].contains(&response.status), "{response:?}");
        if response.announces_close() {
            client.expect_close();
        } else {
            assert_eq!(client.get("/json").text(), r#"{"message":"Hello, World!"}"#);
        }
    }
}

#[test]
fn a_body_on_an_unknown_path_is_never_read_as_a_request() {
    for server in servers() {
        let mut client = server.connect();
        let length = format!("Content-Length: {}", HIDDEN.len());
        client.send(request_with("GET", "/nothing", &[&length]));
        client.send(HIDDEN);
        let response = client.receive();
        assert!([400, 404].contains(&response.status), "{response:?}");
        if response.announces_close() {
            client.expect_close();
        } else {
            assert_eq!(client.get("/json").text(), r#"{"message":"Hello, World!"}"#);
        }
    }
}

#[test]
fn an_upgrade_or_an_expectation_does_not_change_the_protocol() {
    for server in servers() {
        let upgrade = [
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
        ];
        let mut client = server.connect();
        assert_eq!(client.ask("GET", "/json", &upgrade).status, 200);
        let mut client = server.connect();
        let _ = client.try_send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let answer = client.try_receive();
        assert!(answer.as_ref().is_err() || answer.as_ref().is_ok_and(|one| one.status >= 400), "{answer:?}");
        let mut client = server.connect();
        client.send(request_with("CONNECT", "example.org:443", &[]));
        let response = client.receive();
        assert!((400..500).contains(&response.status), "{response:?}");
    }
}
