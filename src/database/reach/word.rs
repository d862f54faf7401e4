//! What is said of the database, by a worker, a process or the whole service: whether it is reached, and what it refuses.
//!
//! **Invariant:** pure. Two troubles are one where their codes are equal, however they are worded, so that a database that is first
//! refused, then starting up, is away once.

use serde::{Deserialize, Serialize};

/// Characters that are kept of a trouble's words; they go into a log line and over the supervisor's channel.
const MOST_CHARACTERS: usize = 1_000;

/// Why something is not to be had of the database.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// The SQLSTATE, or a word of ours where PostgreSQL has said none; empty while it is away.
    code: String,
    why: String,
}

impl Trouble {
    /// It is not there, does not answer, or is starting or stopping.
    pub(crate) fn away(why: impl Into<String>) -> Self {
        Self::coded("", why)
    }

    /// It answers, and this is what it says, with what mends it.
    pub(crate) fn coded(code: &str, why: impl Into<String>) -> Self {
        let mut why: String = why.into();
        if let Some((end, _)) = why.char_indices().nth(MOST_CHARACTERS) {
            why.truncate(end);
        }
        Self { code: code.to_owned(), why }
    }

    /// Whether one connection may meet with it while another does not: class 53, insufficient resources.
    pub(in crate::database) fn is_of_one_connection(&self) -> bool {
        self.code.starts_with("53")
    }
}

impl PartialEq for Trouble {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
    }
}

impl Eq for Trouble {}

impl std::fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.why)
    }
}

/// Whether the database is reached.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// Nobody has tried since the last connection ended.
    #[default]
    Unknown,
    /// All connections that are wanted are open or can be opened.
    Reached,
    /// Some connections are open, and no more can be.
    Short(Trouble),
    /// No connection is open, and the last attempt at one failed.
    Lost(Trouble),
}

impl State {
    /// What is amiss.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        match self {
            Self::Unknown | Self::Reached => None,
            Self::Short(trouble) | Self::Lost(trouble) => Some(trouble),
        }
    }

    /// Whether this is known no longer once somebody else has reached the database just now.
    pub(super) fn is_outdated_by_success(&self) -> bool {
        self.trouble().is_some_and(|trouble| !trouble.is_of_one_connection())
    }

    /// What several make together: lost where none of those who know has a connection, short where some have none or too few.
    pub(super) fn sum<'a>(states: impl Iterator<Item = &'a Self>) -> Self {
        let (mut trouble, mut is_served) = (None, false);
        for state in states {
            is_served |= matches!(state, Self::Reached | Self::Short(_));
            trouble = trouble.or(state.trouble());
        }
        match (trouble, is_served) {
            (Some(trouble), true) => Self::Short(trouble.clone()),
            (Some(trouble), false) => Self::Lost(trouble.clone()),
            (None, true) => Self::Reached,
            (None, false) => Self::Unknown,
        }
    }
}

/// All that one says.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Word {
    /// Whether it reaches the database.
    pub(super) state: State,
    /// Which errors it gets for its queries, on connections that are open.
    pub(super) refused: Vec<Trouble>,
}

impl Word {
    /// Whether the database is reached as far as is known, and what is amiss with it.
    pub(super) fn tell(&self) -> (bool, Option<String>) {
        let trouble = self.state.trouble().or(self.refused.first()).map(ToString::to_string);
        (!matches!(self.state, State::Lost(_)), trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Trouble {
        Trouble::coded("53300", "too many")
    }

    #[test]
    fn several_have_lost_the_database_only_where_none_of_them_is_served() {
        let lost = State::Lost(Trouble::away("refused"));
        let sum = |states: &[State]| State::sum(states.iter());
        assert_eq!(sum(&[]), State::Unknown);
        assert_eq!(sum(&[State::Unknown, State::Reached]), State::Reached);
        assert_eq!(sum(&[State::Unknown, lost.clone()]), lost);
        assert_eq!(sum(&[State::Reached, State::Lost(full())]), State::Short(full()));
        assert_eq!(sum(&[State::Short(full()), lost.clone(), State::Reached]), State::Short(full()));
    }

    #[test]
    fn a_success_outdates_that_it_is_away_and_not_that_it_is_full() {
        assert!(State::Lost(Trouble::away("refused")).is_outdated_by_success());
        assert!(State::Lost(Trouble::coded("28P01", "wrong password")).is_outdated_by_success());
        assert!(!State::Short(full()).is_outdated_by_success());
        assert!(!State::Reached.is_outdated_by_success());
    }

    #[test]
    fn the_words_of_a_trouble_are_cut_between_characters() {
        let trouble = Trouble::coded("42P01", "é".repeat(3_000));
        assert_eq!(trouble.to_string().chars().count(), MOST_CHARACTERS);
        assert_eq!(trouble, Trouble::coded("42P01", "otherwise"));
    }
}
