//! How many rows a count asks for: missing, odd or small reads as 1, large as 500.
//!
//! **Invariant:** the rule is one for `queries` and `count`; each route that counts is asked the same questions.

use crate::harness::{Response, TestDatabase, TestServer, get, worlds};

/// The routes that count, and their key.
const COUNTING: [(&str, &str); 3] =
    [("/queries", "queries"), ("/updates", "queries"), ("/cached-queries", "count")];

/// What follows the path, with `KEY` for the key; and the rows it must give.
const RULES: [(&str, usize); 26] = [
    ("", 1),
    ("?", 1),
    ("?KEY", 1),
    ("?KEY=", 1),
    ("?KEY=abc", 1),
    ("?KEY=0", 1),
    ("?KEY=-1", 1),
    ("?KEY=-99999999999999999999", 1),
    ("?KEY=1", 1),
    ("?KEY=2", 2),
    ("?KEY=5.5", 1),
    ("?KEY=5abc", 1),
    ("?KEY=0x10", 1),
    ("?KEY=1e2", 1),
    ("?KEY=%D9%A5", 1),
    ("?KEY=%00", 1),
    ("?KEY=%", 1),
    ("?KEY=007", 7),
    ("?KEY=20", 20),
    ("?KEY=499", 499),
    ("?KEY=500", 500),
    ("?KEY=501", 500),
    ("?KEY=99999999999999999999", 500),
    ("?other=9&KEY=3", 3),
    ("?KEY=3&other=9", 3),
    ("?xKEY=9", 1),
];

fn rows_of(response: &Response, target: &str) -> usize {
    assert_eq!(response.status, 200, "{target}: {response:?}");
    worlds(response).len()
}

#[test]
fn a_count_below_1_or_no_integer_reads_as_1_and_one_above_500_as_500() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    for (path, key) in COUNTING {
        for (question, expected) in RULES {
            let target = format!("{path}{}", question.replace("KEY", key));
            assert_eq!(rows_of(&client.get(&target), &target), expected, "{target}");
        }
    }
}

#[test]
fn a_count_of_many_digits_reads_as_500() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    for (path, key) in COUNTING {
        let target = format!("{path}?{key}={}", "9".repeat(1000));
        assert_eq!(rows_of(&get(&server, &target), "a thousand nines"), 500);
        let target = format!("{path}?{key}=-{}", "9".repeat(1000));
        assert_eq!(rows_of(&get(&server, &target), "minus a thousand nines"), 1);
    }
}

#[test]
fn an_odd_way_to_write_a_count_gives_one_of_its_two_readings() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    for (path, key) in COUNTING {
        // The contract says nothing about these: what matters is that they are answered, and in bounds.
        for (question, readings) in
            [("?KEY=5&KEY=7", [5, 7]), ("?KEY=+5", [1, 5]), ("?KEY=%205", [1, 5]), ("?KEY=%35", [1, 5])]
        {
            let target = format!("{path}{}", question.replace("KEY", key));
            let rows = rows_of(&client.get(&target), &target);
            assert!(readings.contains(&rows), "{target} gave {rows} rows");
        }
        let encoded = format!("{path}?%{:02X}{}=3", key.as_bytes()[0], &key[1..]);
        assert!([1, 3].contains(&rows_of(&client.get(&encoded), &encoded)), "{encoded}");
    }
}

#[test]
fn a_count_under_another_routes_key_is_not_a_count() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    for target in ["/queries?count=5", "/updates?count=5", "/cached-queries?queries=5", "/queries?Queries=5"]
    {
        assert_eq!(rows_of(&get(&server, target), target), 1, "{target}");
    }
}
