//! The cases as docs/reliability.md shows them.
//!
//! **Invariant:** the table is written from the cases, never the other way round: `PLIMSOLL_WRITE_TABLES=1 cargo test the_reliability_page_shows`.

use super::{Answer, Rule, bodies, fields, lines, targets};

const BEGIN: &str = "<!-- framing -->\n";
const END: &str = "<!-- /framing -->";

#[test]
fn the_reliability_page_shows_the_cases_that_there_are() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reliability.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let (before, rest) = page.split_once(BEGIN).expect("the table's beginning");
    let (shown, after) = rest.split_once(END).expect("the table's end");
    let table = render();
    if std::env::var_os("PLIMSOLL_WRITE_TABLES").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).expect("the page to be written");
        return;
    }
    assert_eq!(shown, table, "out of date: PLIMSOLL_WRITE_TABLES=1 cargo test the_reliability_page_shows");
}

fn render() -> String {
    let head = "| clause | what it asks | such input | our answer |\n|---|---|---|---|\n";
    let rules = [lines::RULES, targets::RULES, fields::RULES, bodies::RULES];
    std::iter::once(head.to_owned()).chain(rules.into_iter().flatten().map(row)).collect()
}

fn row(rule: &Rule) -> String {
    let inputs: Vec<&str> = rule.inputs.iter().map(|(name, _)| *name).collect();
    let answer = match rule.answer {
        Answer::Served(status) => format!("{status}, goes on"),
        Answer::Refused(status) => format!("{status}, closed"),
        Answer::Closed => "closed".to_owned(),
    };
    format!("| {} | {} | {} | {answer} |\n", rule.clause, rule.says, inputs.join("; "))
}
