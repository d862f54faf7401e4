//! The live page, `/` of the admin side: one document with its style and script inside, put together once.
//!
//! `page.html` is the frame, `page.css` the look. Of the script, `format.js` writes numbers, `chart.js` draws, `panels.js` fills what is no
//! chart, and `page.js` asks for `/status.json` each second while somebody looks.
//!
//! **Invariant:** the page asks its own origin for `/status.json` and nobody for anything else, and its policy holds it to that: style
//! and script run because their hashes are named, nothing else does (Content Security Policy Level 3, section 2.3.1, `hash-source`).

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = concat!(
    include_str!("format.js"),
    include_str!("chart.js"),
    include_str!("panels.js"),
    include_str!("page.js")
);

/// The page as it is served.
#[derive(Debug)]
pub struct Page {
    /// The document, UTF-8.
    pub html: String,
    /// The value of its `Content-Security-Policy` header.
    pub policy: String,
}

/// The page; put together when it is first asked for.
pub fn page() -> &'static Page {
    static PAGE: LazyLock<Page> = LazyLock::new(|| Page {
        html: FRAME.replace("<style></style>", &format!("<style>{STYLE}</style>")).replace(
            "<script type=\"module\"></script>",
            &format!("<script type=\"module\">{SCRIPT}</script>"),
        ),
        policy: format!(
            "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            hash_source(STYLE),
            hash_source(SCRIPT)
        ),
    });
    &PAGE
}

fn hash_source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_its_style_and_script_once_each() {
        let html = &page().html;
        assert_eq!((html.matches("<style>").count(), html.matches("<script").count()), (1, 1));
        assert!(html.contains(STYLE) && html.contains(SCRIPT));
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"), "the part would end early");
    }

    #[test]
    fn a_hash_source_is_that_of_the_specification() {
        // The example of Content Security Policy Level 3, section 8.2.
        let expected = "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='";
        assert_eq!(hash_source("alert('Hello, world.');"), expected);
    }

    #[test]
    fn nothing_of_the_page_names_another_place_or_makes_code_of_text() {
        for word in [
            "https://",
            "//cdn",
            "@import",
            "url(",
            "innerHTML",
            "insertAdjacentHTML",
            "eval(",
            "document.write",
        ] {
            assert!(!page().html.contains(word), "{word}");
        }
        let names: Vec<&str> =
            page().html.match_indices("http://").map(|(at, _)| &page().html[at..at + 26]).collect();
        assert!(
            names.iter().all(|name| name.starts_with("http://www.w3.org/2000/svg")),
            "names of SVG only: {names:?}"
        );
    }

    #[test]
    fn no_part_of_the_page_is_longer_than_400_lines() {
        for (name, text) in [
            ("page.html", FRAME),
            ("page.css", STYLE),
            ("format.js", include_str!("format.js")),
            ("chart.js", include_str!("chart.js")),
            ("panels.js", include_str!("panels.js")),
            ("page.js", include_str!("page.js")),
        ] {
            assert!(text.lines().count() <= 400, "{name}");
        }
    }
}
