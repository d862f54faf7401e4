//! The live page, `/` of the admin side: one document with its style and script inside, and what a browser may do for it.
//!
//! `page.html` is the frame, `page.css` the look. Of the script, `format.js` writes numbers, `chart.js` draws, `panels.js` fills what is no
//! chart, and `page.js` asks for `/status.json` each second while somebody looks.
//!
//! **Invariant:** the page asks its own origin for `/status.json` and nobody for anything else, and its policy holds it to that: style
//! and script run because each answer marks them with a number that nobody can guess (Content Security Policy Level 3, section
//! 2.3.1, `nonce-source`), nothing else does.

use hyper::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use hyper::{Response, StatusCode};

use super::reply::{Whole, reply, with};

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = concat!(
    include_str!("format.js"),
    include_str!("chart.js"),
    include_str!("panels.js"),
    include_str!("page.js")
);
const HTML: &str = "text/html; charset=utf-8";

/// The page, marked with the number of this answer.
pub(super) fn show() -> Response<Whole> {
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = reply(StatusCode::OK, HTML, document(&nonce));
    let page = with(page, CONTENT_SECURITY_POLICY, &policy);
    with(page, REFERRER_POLICY, "no-referrer")
}

fn document(nonce: &str) -> String {
    let style = format!("<style nonce=\"{nonce}\">{STYLE}</style>");
    let script = format!("<script type=\"module\" nonce=\"{nonce}\">{SCRIPT}</script>");
    FRAME.replace("<style></style>", &style).replace("<script type=\"module\"></script>", &script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_its_style_and_script_once_each_and_marked() {
        let html = document("77");
        assert_eq!((html.matches("<style").count(), html.matches("<script").count()), (1, 1));
        assert_eq!(html.matches(" nonce=\"77\">").count(), 2);
        assert!(html.contains(STYLE) && html.contains(SCRIPT));
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"), "the part would end early");
    }

    #[test]
    fn no_two_answers_have_the_same_number() {
        let policy = || show().headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert_ne!(policy(), policy());
        assert!(policy().contains("script-src 'nonce-"));
    }

    #[test]
    fn nothing_of_the_page_names_another_place_or_makes_code_of_text() {
        let html = document("77");
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
            assert!(!html.contains(word), "{word}");
        }
        let names: Vec<&str> = html.match_indices("http://").map(|(at, _)| &html[at..at + 26]).collect();
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
