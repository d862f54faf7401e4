//! Rows with any content come out as what they are: fortunes through a parser of HTML, numbers through one of JSON.
//!
//! **Invariant:** what is expected is read from the table, in PostgreSQL's own order or none.

use html5ever::tendril::TendrilSink as _;
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::sample::select;
use proptest::strategy::Union;

use crate::harness::{ServerSetup, TestDatabase, TestServer, draw, get};

const ADDED: &str = "Additional fortune added at request time.";
const DRIVERS: [&[&str]; 2] = [&["--driver", "tokio-postgres"], &["--driver", "direct"]];

/// Texts: any at all but for NUL, which PostgreSQL has not, and what HTML could take for something else.
fn texts() -> impl Strategy<Value = String> {
    let markup = vec![
        "<script>",
        "</td>",
        "</table>",
        "<table>",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?php",
        "&amp;",
        "&lt",
        "&#60;",
        "&#x0;",
        "&",
        "\"",
        "'",
        "`",
        "<",
        ">",
        "</",
        "=",
        "\r\n",
        "\r",
        "\n",
        "\t",
        "\u{c}",
        "\u{1b}",
        "\u{7f}",
        "\u{85}",
        "\u{a0}",
        "\u{feff}",
        "\u{fffd}",
        "\u{ffff}",
        "\u{202e}",
        "{{ 1 }}",
        "é",
        "フレーム",
        "🦀",
        "<plaintext>",
        "<svg><style>",
        "",
    ];
    let piece = Union::new([
        select(markup).prop_map(str::to_owned).boxed(),
        any::<String>().prop_map(|text| text.replace('\0', "")).boxed(),
    ]);
    vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

/// What an element holds, by its name: its elements, or its text.
fn children(node: &Handle, tags: &mut Vec<String>) -> String {
    let mut text = String::new();
    for child in node.children.borrow().iter() {
        match &child.data {
            NodeData::Element { name, attrs, .. } => {
                assert!(attrs.borrow().is_empty(), "an attribute: {:?}", attrs.borrow());
                tags.push(name.local.to_string());
                let inner = children(child, tags);
                tags.push(format!("={inner}"));
                tags.push(format!("/{}", name.local));
            }
            NodeData::Text { contents } => text.push_str(&contents.borrow()),
            NodeData::Doctype { name, .. } => tags.push(format!("!{name}")),
            other => panic!("neither element nor text: {other:?}"),
        }
    }
    text
}

/// The elements and texts of a page, in order, as a parser of HTML sees them.
fn parse(page: &str) -> Vec<String> {
    let dom = html5ever::parse_document(RcDom::default(), html5ever::ParseOpts::default()).one(page);
    let mut tags = Vec::new();
    assert_eq!(children(&dom.document, &mut tags), "");
    tags
}

/// The same for a page of these rows.
fn expected(rows: &[(i32, String)]) -> Vec<String> {
    let element = |name: &str, inner: Vec<String>, text: &str| {
        [vec![name.to_owned()], inner, vec![format!("={text}"), format!("/{name}")]].concat()
    };
    let line = |kind: &str, cells: [&str; 2]| {
        element("tr", cells.into_iter().flat_map(|text| element(kind, vec![], text)).collect(), "")
    };
    // A parser makes one line feed of each kind of line end before it looks at anything (HTML, section 13.2.3.5).
    let seen = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
    let body = rows.iter().flat_map(|(id, text)| line("td", [&id.to_string(), &seen(text)]));
    let lines = line("th", ["id", "message"]).into_iter().chain(body).collect();
    let table = element("table", element("tbody", lines, ""), "");
    let head = element("head", element("title", vec![], "Fortunes"), "");
    let html = [head, element("body", table, "")].concat();
    [vec!["!html".to_owned()], element("html", html, "")].concat()
}

fn check_fortunes(servers: &[TestServer], database: &TestDatabase, messages: &[String]) {
    let ids: Vec<i32> = (1..).take(messages.len()).collect();
    database.admin().rows("DELETE FROM fortune", &[]);
    database
        .admin()
        .rows("INSERT INTO fortune SELECT * FROM unnest($1::int4[], $2::text[])", &[&ids, &messages]);
    let mut rows: Vec<(i32, String)> = ids.into_iter().zip(messages.iter().cloned()).collect();
    rows.push((0, ADDED.to_owned()));
    rows.sort_by(|(_, a), (_, b)| a.as_bytes().cmp(b.as_bytes()));
    for server in servers {
        assert_eq!(parse(get(server, "/fortunes").text()), expected(&rows));
    }
}

#[test]
fn any_text_in_the_table_comes_out_as_text_through_a_parser_of_html() {
    let database = TestDatabase::create();
    let servers = DRIVERS.map(|driver| ServerSetup::with_database(&database).args(driver).start());
    // No text twice: rows with the same one have no order.
    let messages = proptest::collection::hash_set(texts(), 0..8);
    draw::hold(64, "tests/regressions/fortunes.txt", messages, |messages| {
        let messages: Vec<String> = messages.into_iter().filter(|text| text != ADDED).collect();
        check_fortunes(&servers, &database, &messages);
    });
}

#[test]
fn any_number_in_the_table_comes_out_as_that_number() {
    let database = TestDatabase::create();
    let servers = DRIVERS.map(|driver| ServerSetup::with_database(&database).args(driver).start());
    let ends = vec![i32::MIN, i32::MAX, 0, -1, 10, -10, 999_999_999];
    let numbers = vec(Union::new([any::<i32>().boxed(), select(ends).boxed()]), 7);
    draw::hold(3, "tests/regressions/numbers.txt", numbers, |numbers| {
        database.admin().rows("UPDATE world SET randomnumber = ($1::int4[])[1 + id % 7]", &[&numbers]);
        for server in &servers {
            let answer = get(server, "/queries?queries=500").json();
            let rows = answer.as_array().expect("an array");
            assert_eq!(rows.len(), 500);
            for row in rows {
                let id = usize::try_from(row["id"].as_u64().expect("an id")).expect("an id");
                assert_eq!(row["randomNumber"].as_i64(), Some(i64::from(numbers[id % 7])), "row {id}");
            }
        }
    });
}
