//! Rows of `fortune`.
//!
//! **Invariant:** the messages are borrowed from the rows as the driver received them; they are copied once, into the page.

use super::error::Error;
use super::wire::Rows;

/// A row of `fortune`, or the one added at request time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fortune<'a> {
    /// The row's id.
    pub id: i32,
    /// Any text.
    pub message: &'a str,
}

/// The rows of one answer, which the fortunes borrow from.
pub struct FortuneRows(pub(super) Source);

/// Whose rows they are.
pub(super) enum Source {
    Driver(Vec<tokio_postgres::Row>),
    Direct(Rows),
}

impl FortuneRows {
    /// The fortunes in the order in which PostgreSQL sent them, with room for one more.
    pub fn fortunes(&self) -> Result<Vec<Fortune<'_>>, Error> {
        match &self.0 {
            Source::Driver(rows) => list(rows.len(), rows.iter(), |row| {
                Ok(Fortune { id: row.try_get(0)?, message: row.try_get(1)? })
            }),
            Source::Direct(rows) => {
                list(rows.len(), rows.iter(), |mut row| Ok(Fortune { id: row.int4()?, message: row.text()? }))
            }
        }
    }
}

fn list<'a, R>(
    count: usize,
    rows: impl Iterator<Item = R>,
    read: impl Fn(R) -> Result<Fortune<'a>, Error>,
) -> Result<Vec<Fortune<'a>>, Error> {
    let mut fortunes = Vec::with_capacity(count + 1);
    for row in rows {
        fortunes.push(read(row)?);
    }
    Ok(fortunes)
}
