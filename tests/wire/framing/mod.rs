//! Framing, clause by clause: what RFC 9112 and RFC 9110 say of odd input, such input, and our answer. docs/reliability.md shows the same
//! cases as a table, which [`table`] holds equal to them.
//!
//! **Invariant:** behind each input stands a request that is well formed. It is answered exactly where the rule says that the connection
//! goes on, and else never, so that nothing that another reader could take for a body is read as a request here.

mod bodies;
mod fields;
mod lines;
mod table;
mod targets;

use crate::harness::{ServerSetup, TestServer, unused_port};

/// What must not be answered where the connection ends before it.
const BEHIND: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: behind\r\n\r\n";

/// One clause, inputs that it is about, and what we do with them.
struct Rule {
    /// The clause, as in `RFC 9112, 2.2`.
    clause: &'static str,
    /// What it asks of a server, in short.
    says: &'static str,
    /// Each with a name.
    inputs: &'static [(&'static str, &'static [u8])],
    answer: Answer,
}

/// What comes of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// This status, and the connection goes on: what stands behind is answered.
    Served(u16),
    /// This status, and a close.
    Refused(u16),
    /// A close without a word.
    Closed,
}

/// Sends each input to a server as it is by default, and to one with a route that takes bodies: neither may be laxer than the other.
fn check(rules: &[Rule]) {
    let url = format!("postgres://nobody@127.0.0.1:{}/none", unused_port());
    for server in [TestServer::without_database(), ServerSetup::with_url(&url).arg("--lab").start()] {
        for rule in rules {
            for (what, bytes) in rule.inputs {
                check_input(&server, rule, what, bytes);
            }
        }
        assert_eq!(server.connect().get("/plaintext").status, 200, "the service goes on");
    }
}

fn check_input(server: &TestServer, rule: &Rule, what: &str, bytes: &[u8]) {
    let mut client = server.connect();
    // The server may answer and close before it has taken all of it.
    let _ = client.try_send([bytes, BEHIND].concat());
    let Rule { clause, answer, .. } = rule;
    if *answer == Answer::Closed {
        return client.expect_close();
    }
    let response = client.try_receive().unwrap_or_else(|why| panic!("{clause}, {what}: {why}"));
    match *answer {
        Answer::Served(status) => {
            assert_eq!(response.status, status, "{clause}, {what}: {response:?}");
            let next = client.try_receive().unwrap_or_else(|why| panic!("{clause}, behind {what}: {why}"));
            assert_eq!(next.text(), "Hello, World!", "{clause}, behind {what}: {next:?}");
        }
        Answer::Refused(status) => {
            assert_eq!(response.status, status, "{clause}, {what}: {response:?}");
            assert!(response.announces_close(), "{clause}, {what}: {response:?}");
            client.expect_close();
        }
        Answer::Closed => {}
    }
}
