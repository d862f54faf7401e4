//! "Routes": each row of the table, in every mode.
//!
//! **Invariant:** bodies are compared with the contract's text and with the database's rows, never with each other.

use std::collections::HashSet;

use super::in_every_mode;
use crate::harness::{TestDatabase, TestServer, get, worlds};

#[test]
fn get_json_answers_hello_world_as_an_object() {
    let server = TestServer::without_database();
    let response = get(&server, "/json");
    assert_eq!(response.status, 200);
    assert_eq!(response.text(), r#"{"message":"Hello, World!"}"#);
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[test]
fn get_plaintext_answers_hello_world() {
    let server = TestServer::without_database();
    let response = get(&server, "/plaintext");
    assert_eq!(response.status, 200);
    assert_eq!(response.text(), "Hello, World!");
    assert_eq!(response.header("content-type"), Some("text/plain"));
}

#[test]
fn get_db_answers_one_row_of_the_table() {
    in_every_mode(|server, database| {
        let table = database.world_numbers();
        let mut client = server.connect();
        for _ in 0..50 {
            let response = client.get("/db");
            let row = response.json();
            let (id, number) = (row["id"].as_i64().unwrap(), row["randomNumber"].as_i64().unwrap());
            assert_eq!(response.text(), format!(r#"{{"id":{id},"randomNumber":{number}}}"#));
            assert_eq!(i64::from(table[&i32::try_from(id).unwrap()]), number, "row {id}");
        }
    });
}

#[test]
fn get_queries_answers_an_array_of_rows_of_the_table() {
    in_every_mode(|server, database| {
        let table = database.world_numbers();
        let response = get(server, "/queries?queries=50");
        let rows = worlds(&response);
        assert_eq!(rows.len(), 50);
        let text: Vec<String> =
            rows.iter().map(|(id, number)| format!(r#"{{"id":{id},"randomNumber":{number}}}"#)).collect();
        assert_eq!(response.text(), format!("[{}]", text.join(",")));
        assert!(rows.iter().all(|(id, number)| table[id] == *number), "rows that the table does not hold");
    });
}

#[test]
fn get_updates_answers_an_array_of_rows_with_their_new_numbers() {
    in_every_mode(|server, database| {
        let before = database.world_numbers();
        let response = get(server, "/updates?queries=50");
        let rows = worlds(&response);
        let after = database.world_numbers();
        assert_eq!(rows.len(), 50);
        assert!(rows.iter().all(|(id, number)| after[id] == *number), "numbers that were not written");
        let changed = rows.iter().filter(|(id, number)| before[id] != *number).count();
        assert!(changed > 45, "only {changed} of 50 numbers are new");
    });
}

#[test]
fn get_fortunes_answers_a_table_of_thirteen_rows() {
    in_every_mode(|server, _| {
        let response = get(server, "/fortunes");
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(response.text().matches("<tr><td>").count(), 13, "{}", response.text());
    });
}

#[test]
fn get_cached_queries_answers_an_array_of_rows_of_the_table() {
    in_every_mode(|server, database| {
        let table = database.world_numbers();
        let mut client = server.connect();
        for _ in 0..3 {
            let rows = worlds(&client.get("/cached-queries?count=100"));
            assert_eq!(rows.len(), 100);
            assert!(
                rows.iter().all(|(id, number)| table[id] == *number),
                "rows that the table does not hold"
            );
        }
    });
}

#[test]
fn random_ids_cover_the_whole_range_with_1_and_10000() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let mut client = server.connect();
    let mut seen = HashSet::new();
    // 150 000 draws miss a given id once in three million runs of this test.
    for _ in 0..300 {
        seen.extend(worlds(&client.get("/queries?queries=500")).iter().map(|row| row.0));
    }
    assert!(seen.contains(&1), "row 1 is never asked for");
    assert!(seen.contains(&10_000), "row 10000 is never asked for");
    assert!(seen.len() > 9_980, "only {} of 10000 rows are ever asked for", seen.len());
}

#[test]
fn a_trailing_slash_or_a_query_on_a_plain_route_changes_nothing_else() {
    let server = TestServer::without_database();
    let mut client = server.connect();
    assert_eq!(client.get("/json?queries=5").text(), r#"{"message":"Hello, World!"}"#);
    assert_eq!(client.get("/plaintext?").text(), "Hello, World!");
    assert_eq!(client.get("/json/extra").status, 404);
    assert_eq!(client.get("/JSON").status, 404, "paths are case-sensitive");
}
