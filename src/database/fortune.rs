//! Rows of `fortune`.
//!
//! **Invariant:** the messages are borrowed from the rows as the driver received them; they are copied once, into the page.

use tokio_postgres::Row;

use super::error::Error;

/// A row of `fortune`, or the one added at request time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fortune<'a> {
    /// The row's id.
    pub id: i32,
    /// Any text.
    pub message: &'a str,
}

/// The rows of one answer, which the fortunes borrow from.
#[derive(Debug)]
pub struct FortuneRows(pub(super) Vec<Row>);

impl FortuneRows {
    /// The fortunes in the order in which PostgreSQL sent them, with room for one more.
    pub fn fortunes(&self) -> Result<Vec<Fortune<'_>>, Error> {
        let mut fortunes = Vec::with_capacity(self.0.len() + 1);
        for row in &self.0 {
            fortunes.push(Fortune { id: row.try_get(0)?, message: row.try_get(1)? });
        }
        Ok(fortunes)
    }
}
