//! Which kind of server a session is to be on: `target_session_attrs` in libpq's meanings (PostgreSQL manual, "Parameter Key
//! Words"). The driver knows three of them, so they are read and asked about here.
//!
//! **Invariant:** a session is used only where its server said itself that it is of the kind.

use tokio_postgres::{Client, Error, SimpleQueryMessage};

/// What a server has to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Anything.
    #[default]
    Any,
    /// One whose sessions may write.
    ReadWrite,
    /// One whose sessions may not.
    ReadOnly,
    /// One that follows no other.
    Primary,
    /// One that follows another.
    Standby,
    /// A standby if one of the hosts is, else anything.
    PreferStandby,
}

/// Every kind with its word.
const WORDS: [(Standing, &str); 6] = [
    (Standing::Any, "any"),
    (Standing::ReadWrite, "read-write"),
    (Standing::ReadOnly, "read-only"),
    (Standing::Primary, "primary"),
    (Standing::Standby, "standby"),
    (Standing::PreferStandby, "prefer-standby"),
];

impl Standing {
    /// Reads a word; an empty one says nothing, as for libpq.
    ///
    /// # Errors
    /// One line for people.
    pub(super) fn read(word: &str) -> Result<Self, String> {
        if word.is_empty() {
            return Ok(Self::Any);
        }
        let found = WORDS.iter().find(|(_, known)| *known == word).map(|(standing, _)| *standing);
        let words = || WORDS.map(|(_, word)| word).join(", ");
        found.ok_or_else(|| format!("target_session_attrs is none of {}", words()))
    }

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        WORDS.iter().find(|(standing, _)| *standing == self).map_or("any", |(_, word)| word)
    }

    /// Whether a session that may not write is to be given up.
    pub(super) fn wants_writes(self) -> bool {
        matches!(self, Self::ReadWrite | Self::Primary)
    }

    /// The kinds to go round the hosts with, one after the other.
    pub(super) fn rounds(self) -> &'static [Self] {
        match self {
            Self::Any => &[Self::Any],
            Self::ReadWrite => &[Self::ReadWrite],
            Self::ReadOnly => &[Self::ReadOnly],
            Self::Primary => &[Self::Primary],
            Self::Standby => &[Self::Standby],
            Self::PreferStandby => &[Self::Standby, Self::Any],
        }
    }

    /// Asks the server whether it is of this kind; if not, says what it is instead.
    pub(super) async fn check(self, client: &Client) -> Result<Result<(), String>, Error> {
        let (question, wanted, otherwise) = match self {
            Self::Any | Self::PreferStandby => return Ok(Ok(())),
            Self::ReadWrite => {
                ("SHOW transaction_read_only", "off", "takes no writes: a standby, or set to read only")
            }
            Self::ReadOnly => ("SHOW transaction_read_only", "on", "takes writes"),
            Self::Primary => ("SELECT pg_catalog.pg_is_in_recovery()", "f", "is a standby"),
            Self::Standby => ("SELECT pg_catalog.pg_is_in_recovery()", "t", "is no standby"),
        };
        let answer = client.simple_query(question).await?;
        let said = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(if said == Some(wanted) {
            Ok(())
        } else {
            Err(format!("it {otherwise}, and target_session_attrs={} asks for another", self.word()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_and_no_other_word_is_taken() {
        for (standing, word) in WORDS {
            assert_eq!(Standing::read(word), Ok(standing));
            assert_eq!(standing.word(), word);
        }
        assert_eq!(Standing::read(""), Ok(Standing::Any));
        assert!(Standing::read("master").unwrap_err().contains("read-write"));
    }
}
