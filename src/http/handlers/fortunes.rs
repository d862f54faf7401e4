//! `GET /fortunes`.
//!
//! **Invariant:** the template escapes every message; the sort is by the message's bytes.

use askama::Template;
use tokio::time::Instant;

use super::super::context::Context;
use super::super::response::{self, HandlerResult};
use crate::database::fortune::Fortune;

/// The message of the row that is added to the table's.
const ADDED: &str = "Additional fortune added at request time.";

/// The page, compiled into code that writes it.
#[derive(Template)]
#[template(
    ext = "html",
    source = "<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table>\
              <tr><th>id</th><th>message</th></tr>\
              {% for fortune in fortunes %}<tr><td>{{ fortune.id }}</td><td>{{ fortune.message }}</td></tr>{% endfor %}\
              </table></body></html>"
)]
struct Page<'a> {
    fortunes: &'a [Fortune<'a>],
}

/// Answers with all fortunes and one more, sorted by message, as a page.
pub(crate) async fn fortunes(context: &Context, deadline: Instant) -> HandlerResult {
    let rows = context.database.fortunes(deadline).await?;
    let mut fortunes = rows.fortunes()?;
    fortunes.push(Fortune { id: 0, message: ADDED });
    fortunes.sort_unstable_by(|a, b| a.message.cmp(b.message));
    response::html(context, |buffer| Page { fortunes: &fortunes }.render_into(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_comes_out_as_text() {
        let fortunes =
            [Fortune { id: 1, message: "<script>alert(\"&\")</script>" }, Fortune { id: 2, message: "フ" }];
        let page = Page { fortunes: &fortunes }.render().unwrap();
        assert!(page.starts_with(
            "<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table><tr><th>id</th>"
        ));
        assert!(page.contains("<td>&#60;script&#62;alert(&#34;&#38;&#34;)&#60;/script&#62;</td>"), "{page}");
        assert!(page.ends_with("<tr><td>2</td><td>フ</td></tr></table></body></html>"), "{page}");
    }
}
