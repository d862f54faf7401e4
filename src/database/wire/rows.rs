//! Rows as PostgreSQL sent them, one after another in one buffer.
//!
//! **Invariant:** what does not read as a row of the expected columns is an error, never a panic.

use postgres_protocol::types::int4_from_sql;

use crate::database::error::Error;

/// A `DataRow`'s tag, before its length.
const TAG: usize = 1;
/// The length and the number of columns that stand before a row's values.
const PREFIX: usize = 6;

/// The rows of all answers to a batch, in their order.
#[derive(Debug, Default)]
pub(in crate::database) struct Rows {
    bytes: Vec<u8>,
    count: usize,
}

/// One row's values that were not read yet.
#[derive(Debug, Clone, Copy)]
pub(in crate::database) struct Row<'a>(&'a [u8]);

impl Rows {
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), count: 0 }
    }

    /// Keeps a `DataRow` message.
    pub(super) fn push(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(&message[TAG..]);
        self.count += 1;
    }

    /// How many there are.
    pub(in crate::database) fn len(&self) -> usize {
        self.count
    }

    /// The rows, each to be read column by column.
    pub(in crate::database) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let length = rest.first_chunk().map(|length| u32::from_be_bytes(*length) as usize)?;
            let (row, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(Row(row.get(PREFIX..).unwrap_or_default()))
        })
    }
}

impl<'a> Row<'a> {
    /// The next column, an `int4` in binary form.
    pub(in crate::database) fn int4(&mut self) -> Result<i32, Error> {
        int4_from_sql(self.value()?).map_err(|_| Error::Malformed)
    }

    /// The next column, a text.
    pub(in crate::database) fn text(&mut self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.value()?).map_err(|_| Error::Malformed)
    }

    fn value(&mut self) -> Result<&'a [u8], Error> {
        let (length, rest) = self.0.split_first_chunk().ok_or(Error::Malformed)?;
        // -1 stands for NULL, which no column of ours may be.
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| Error::Malformed)?;
        let (value, rest) = rest.split_at_checked(length).ok_or(Error::Malformed)?;
        self.0 = rest;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(messages: &[&[u8]]) -> Rows {
        let mut rows = Rows::default();
        for message in messages {
            rows.push(message);
        }
        rows
    }

    #[test]
    fn columns_are_read_in_their_order() {
        let rows = rows(&[
            b"D\0\0\0\x12\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\0",
            b"D\0\0\0\x10\0\x02\0\0\0\x02\xc3\xa9\0\0\0\0",
        ]);
        let mut read = rows.iter();
        let mut first = read.next().unwrap();
        assert_eq!((rows.len(), first.int4().unwrap(), first.text().unwrap()), (2, 7, ""));
        assert_eq!(read.next().unwrap().text().unwrap(), "é");
        assert!(read.next().is_none());
    }

    #[test]
    fn what_is_no_such_row_is_an_error() {
        for (what, message) in [
            ("no column", &b"D\0\0\0\x06\0\0"[..]),
            ("null", b"D\0\0\0\x0a\0\x01\xff\xff\xff\xff"),
            ("a value cut off", b"D\0\0\0\x0b\0\x01\0\0\0\x04\0"),
            ("three bytes for an int4", b"D\0\0\0\x0d\0\x01\0\0\0\x03\0\0\0"),
            ("no room for its own prefix", b"D\0\0\0\x04"),
        ] {
            let rows = rows(&[message]);
            let mut row = rows.iter().next().unwrap();
            assert!(matches!(row.int4(), Err(Error::Malformed)), "{what}");
        }
    }
}
