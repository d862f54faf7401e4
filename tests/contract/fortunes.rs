//! "Fortunes": all rows and one more, sorted by their bytes, escaped, in exactly the contract's shape.
//!
//! **Invariant:** the page is taken apart by its exact text; an entity may be written in any of its ways.

use crate::harness::{Response, TestDatabase, TestServer, get};

const BEFORE: &str = "<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table>\
                      <tr><th>id</th><th>message</th></tr>";
const AFTER: &str = "</table></body></html>";

/// The ways to write what must not stand bare in a text.
const ENTITIES: [(&str, char); 14] = [
    ("&amp;", '&'),
    ("&#38;", '&'),
    ("&#x26;", '&'),
    ("&lt;", '<'),
    ("&#60;", '<'),
    ("&#x3c;", '<'),
    ("&gt;", '>'),
    ("&#62;", '>'),
    ("&#x3e;", '>'),
    ("&quot;", '"'),
    ("&#34;", '"'),
    ("&#x22;", '"'),
    ("&#39;", '\''),
    ("&#x27;", '\''),
];

/// The page's rows, unescaped; panics where the page is not of the contract's shape.
fn rows_of(response: &Response) -> Vec<(i32, String)> {
    let page = response.text();
    let rows = page.strip_prefix(BEFORE).unwrap_or_else(|| panic!("an odd start: {page}"));
    let rows = rows.strip_suffix(AFTER).unwrap_or_else(|| panic!("an odd end: {page}"));
    let rows = rows.strip_prefix("<tr><td>").and_then(|rows| rows.strip_suffix("</td></tr>"));
    let rows = rows.unwrap_or_else(|| panic!("odd rows: {page}"));
    let row = |row: &str| {
        let (id, message) = row.split_once("</td><td>").unwrap_or_else(|| panic!("an odd row: {row}"));
        (id.parse().expect("an id in digits"), unescape(message))
    };
    rows.split("</td></tr><tr><td>").map(row).collect()
}

fn unescape(message: &str) -> String {
    let mut plain = String::new();
    let mut rest = message;
    while let Some(next) = rest.chars().next() {
        let entity = ENTITIES.iter().find(|(entity, _)| {
            rest.get(..entity.len()).is_some_and(|start| start.eq_ignore_ascii_case(entity))
        });
        if let Some((entity, meant)) = entity {
            plain.push(*meant);
            rest = &rest[entity.len()..];
        } else {
            assert!(!['<', '>', '&', '"'].contains(&next), "{next} stands bare in {message}");
            plain.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    plain
}

fn stored(database: &TestDatabase) -> Vec<(i32, String)> {
    let rows = database.admin().rows("SELECT id, message FROM fortune", &[]);
    let mut rows: Vec<(i32, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    rows.push((0, "Additional fortune added at request time.".to_owned()));
    rows.sort_by(|a, b| a.1.as_bytes().cmp(b.1.as_bytes()));
    rows
}

#[test]
fn fortunes_are_all_rows_and_one_more_sorted_by_their_bytes() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let ids: Vec<i32> = rows_of(&get(&server, "/fortunes")).iter().map(|row| row.0).collect();
    assert_eq!(ids, [11, 4, 5, 2, 8, 0, 3, 7, 10, 6, 9, 1, 12]);
    assert_eq!(rows_of(&get(&server, "/fortunes")), stored(&database));
}

#[test]
fn the_script_comes_out_escaped_and_the_japanese_row_as_it_is() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let response = get(&server, "/fortunes");
    assert!(!response.text().contains("<script"), "{}", response.text());
    assert!(response.text().contains("<tr><td>12</td><td>フレームワークのベンチマーク</td></tr>"));
    assert!(response.text().contains("<td>0</td><td>Additional fortune added at request time.</td>"));
    // The length counts bytes, of which the Japanese row and the dashes have more than characters.
    assert_eq!(response.content_length(), Some(response.body.len()));
}

#[test]
fn hostile_rows_come_out_as_the_text_they_are() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    let hostile = [
        r#""><img src=x onerror=alert('1')>"#,
        "</td></tr></table><script>alert(1)</script>",
        "&lt;already escaped&gt; &amp; twice",
        "{{ 7 * 7 }} {% raw %} ${x} <%= y %>",
        "",
        " leading space",
        "ZZZ before aaa",
        "aaa after ZZZ",
        "Äpfel",
        "🦀",
    ];
    for (id, message) in (100..).zip(hostile) {
        database.admin().rows("INSERT INTO fortune (id, message) VALUES ($1, $2)", &[&id, &message]);
    }
    let rows = rows_of(&get(&server, "/fortunes"));
    assert_eq!(rows.len(), 13 + hostile.len());
    assert_eq!(rows, stored(&database));
}

#[test]
fn fortunes_are_read_anew_for_each_request() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    assert_eq!(rows_of(&get(&server, "/fortunes")).len(), 13);
    database.admin().run("DELETE FROM fortune WHERE id > 6");
    assert_eq!(rows_of(&get(&server, "/fortunes")).len(), 7);
    database.admin().run("DELETE FROM fortune");
    assert_eq!(
        rows_of(&get(&server, "/fortunes")),
        [(0, "Additional fortune added at request time.".to_owned())]
    );
}

#[test]
fn the_fortunes_query_does_not_sort() {
    let database = TestDatabase::create();
    let server = TestServer::on(&database);
    get(&server, "/fortunes");
    let statements = database.statements();
    let fortunes: Vec<_> = statements
        .iter()
        .filter(|statement| statement.text.to_lowercase().contains("from fortune"))
        .collect();
    assert_eq!(fortunes.len(), 1, "{statements:?}");
    assert_eq!((fortunes[0].calls, fortunes[0].rows), (1, 12));
    assert!(!fortunes[0].text.to_lowercase().contains("order by"), "{}", fortunes[0].text);
}
