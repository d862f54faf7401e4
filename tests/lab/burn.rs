//! `/lab/burn`: the proof is one, and on the side pool it holds up nobody.
//!
//! **Invariant:** every proof is checked by hashing it again.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::one_worker;
use crate::harness::{Client, PATIENCE, Response, request, wait_until};

/// Checks a proof and gives its challenge.
fn check(response: &Response, bits: u32) -> String {
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    let proof = response.json();
    let challenge = proof["challenge"].as_str().expect("a challenge").to_owned();
    let nonce = proof["nonce"].as_u64().expect("a nonce");
    let hash = Sha256::digest(format!("{challenge}{nonce}"));
    let mut written = String::new();
    for byte in hash {
        write!(written, "{byte:02x}").expect("a text that grows");
    }
    assert_eq!(proof["hash"], written.as_str(), "{proof}");
    let front = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    assert!(front.leading_zeros() >= bits, "{proof}");
    assert_eq!(proof["bits"], bits);
    assert_eq!(proof["tries"].as_u64(), Some(nonce + 1));
    challenge
}

#[test]
fn a_proof_is_one_wherever_it_was_searched_for() {
    for place in ["inline", "offload"] {
        let server = one_worker().args(&["--burn", place]).start();
        let mut client = server.connect();
        let mut challenges: Vec<String> = [0, 1, 7, 8, 9, 12]
            .iter()
            .map(|bits| check(&client.get(&format!("/lab/burn?bits={bits}")), *bits))
            .collect();
        challenges.sort_unstable();
        challenges.dedup();
        assert_eq!(challenges.len(), 6, "{place}: a challenge came twice");
    }
}

#[test]
fn proofs_that_are_pipelined_come_in_order() {
    for place in ["inline", "offload"] {
        let server = one_worker().args(&["--burn", place]).start();
        let mut client = server.connect();
        client.send([10, 0, 8, 1].map(|bits| request("GET", &format!("/lab/burn?bits={bits}"))).concat());
        for bits in [10, 0, 8, 1] {
            check(&client.receive(), bits);
        }
    }
}

#[test]
fn on_the_side_pool_a_long_search_holds_up_nobody() {
    let server = one_worker().args(&["--burn", "offload", "--request-deadline", "1h"]).start();
    let mut burning: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for client in &mut burning {
        // Seconds of work each, but for great luck; the one worker would answer nothing below before all were done.
        client.send(request("GET", "/lab/burn?bits=24"));
    }
    let mut client = server.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/json").status, 200);
    }
    assert!(burning.iter().any(|client| !client.arrived()), "still searching");
}

#[test]
fn a_search_past_the_request_deadline_is_503_and_lets_go_of_its_thread() {
    let server = one_worker().args(&["--burn", "offload", "--request-deadline", "200ms"]).start();
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(request("GET", "/lab/burn?bits=24"));
    }
    let responses: Vec<Response> = clients.iter_mut().map(Client::receive).collect();
    let (found, late): (Vec<_>, Vec<_>) = responses.iter().partition(|response| response.status == 200);
    for response in found {
        check(response, 24);
    }
    assert!(!late.is_empty(), "eight searches of seconds each");
    for response in late {
        assert_eq!((response.status, response.header("retry-after")), (503, Some("1")), "{response:?}");
    }
    wait_until("a thread of the side pool", PATIENCE, || {
        let response = clients[0].get("/lab/burn?bits=1");
        (response.status == 200).then(|| check(&response, 1))
    });
}

#[test]
fn a_full_side_pool_is_503_with_retry_after_at_once() {
    let server = one_worker().args(&["--burn", "offload", "--request-deadline", "1h"]).start();
    let mut client = server.connect();
    let mut burning = Vec::new();
    let refused = wait_until("the side pool to be full", PATIENCE, || {
        for _ in 0..64 {
            let mut one = server.connect();
            one.send(request("GET", "/lab/burn?bits=24"));
            burning.push(one);
        }
        assert_eq!(client.get("/json").status, 200);
        burning.iter().position(Client::arrived)
    });
    let response = burning[refused].receive();
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")), "{response:?}");
    assert_eq!(burning[refused].get("/json").status, 200, "the connection goes on");
}

#[test]
fn a_number_of_bits_out_of_bounds_is_400_and_says_which_are_meant() {
    let server = one_worker().start();
    let mut client = server.connect();
    for query in ["", "?bits=", "?bits=-1", "?bits=25", "?bits=1.5", "?bits=4294967297", "?ms=1"] {
        let response = client.get(&format!("/lab/burn{query}"));
        assert_eq!(response.status, 400, "{query}");
        assert!(response.text().contains("0 to 24"), "{query}: {}", response.text());
    }
    assert_eq!(client.get("/lab/burn?bits=0").status, 200, "the connection goes on");
}
