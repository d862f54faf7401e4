//! docs/reliability.md names tests: those of its sections on input and on limits exist.
//!
//! **Invariant:** a name is in backticks, a path of modules and a function, as `cargo test` would find it.

use super::{expect_none, sources};

/// The sections whose every name is looked for.
const SECTIONS: [&str; 2] = ["## Input", "## Limits"];

fn is_test(word: &str) -> bool {
    word.contains("::") && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte))
}

#[test]
fn the_tests_that_the_page_on_reliability_names_are_there() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reliability.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let mut all = sources("src");
    all.extend(sources("tests"));
    let (mut offences, mut named, mut within) = (Vec::new(), 0, false);
    for line in page.lines() {
        if line.starts_with("## ") {
            within = SECTIONS.iter().any(|section| line.starts_with(section));
        }
        for word in line.split('`').skip(1).step_by(2).filter(|word| within && is_test(word)) {
            named += 1;
            let (modules, name) = word.rsplit_once("::").unwrap_or_default();
            let (place, function) = (modules.replace("::", "/"), format!("fn {name}("));
            if !all.iter().any(|source| source.path.contains(&place) && source.text.contains(&function)) {
                offences.push(format!("no {word}"));
            }
        }
    }
    assert!(named > 50, "only {named} names were found");
    expect_none("named tests are there", &offences);
}
