//! What can go wrong between a handler and PostgreSQL.
//!
//! **Invariant:** which HTTP status follows is decided in [`crate::http::error`], not here.

use std::io;

use tokio_postgres::error::{Severity, SqlState};

use super::failing::Several;
use super::pooler;
use super::reach::Trouble;
use crate::telemetry::labels::DatabaseFailure;

/// A question that PostgreSQL did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection to PostgreSQL, and none is to be had at the moment.
    #[error("the database is not reached")]
    Unreached,
    /// No replica is in use, and the primary is not to be read from.
    #[error(
        "no host of --database-read-url is in use, and --reads replica-only keeps reads from the primary"
    )]
    NoReplica,
    /// The connection that carried the query was lost before the answer came.
    #[error("the database connection was lost")]
    Lost,
    /// The request's deadline passed while it waited.
    #[error("the database did not answer in time")]
    Deadline,
    /// More requests wait than the queue holds.
    #[error("too many requests wait for the database")]
    Overloaded,
    /// The row asked for is not there: the table is not the 10 000 rows it should be.
    #[error("a row is missing: `plimsoll init-db` adds the missing ones")]
    MissingRow,
    /// PostgreSQL answered with an error.
    #[error("{0}")]
    Refused(Refusal),
    /// The driver could not make sense of an answer, or of a question.
    #[error("{}", words(.0))]
    Driver(tokio_postgres::Error),
    /// An answer was not made of the columns that were asked for.
    #[error("PostgreSQL sent a row that is not of the columns asked for")]
    Malformed,
}

impl Error {
    /// Whether PostgreSQL took no write because it only reads.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == SqlState::READ_ONLY_SQL_TRANSACTION)
    }

    /// Whether another server may answer what this replica has not: its connection was lost, none was to be had, or what it replays
    /// from the primary was in the way (40001 on a standby: "canceling statement due to conflict with recovery").
    pub(super) fn is_of_one_replica(&self) -> bool {
        match self {
            Self::Lost | Self::Unreached => true,
            Self::Refused(refusal) => refusal.code == SqlState::T_R_SERIALIZATION_FAILURE,
            _ => false,
        }
    }

    /// Whether a statement of this name was prepared before.
    pub(super) fn is_prepared_already(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == SqlState::DUPLICATE_PSTATEMENT)
    }

    /// What it is counted as.
    pub(super) fn failure(&self) -> DatabaseFailure {
        match self {
            Self::Unreached | Self::NoReplica => DatabaseFailure::Unreached,
            Self::Lost => DatabaseFailure::Lost,
            Self::Deadline => DatabaseFailure::Deadline,
            Self::Overloaded => DatabaseFailure::Overloaded,
            Self::MissingRow | Self::Refused(_) | Self::Driver(_) | Self::Malformed => {
                DatabaseFailure::Refused
            }
        }
    }
}

impl Error {
    /// What it tells of the database or of its tables, and of more than this one request.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Refused(refusal) => Some(refusal.trouble(refusal.to_string())),
            Self::MissingRow => Some(Trouble::coded("a missing row", self.to_string())),
            Self::Driver(_) => Some(Trouble::coded("an odd answer", self.to_string())),
            Self::Malformed => Some(Trouble::coded("an odd row", self.to_string())),
            Self::Unreached | Self::NoReplica | Self::Lost | Self::Deadline | Self::Overloaded => None,
        }
    }

    /// Whether the connection may be used on once all answers have come: it failed this query, and would not fail others for itself.
    pub(super) fn leaves_connection_sound(&self) -> bool {
        match self {
            Self::MissingRow => true,
            // A prepared statement that is gone, or whose plan cannot follow its table, is mended by a new connection.
            Self::Refused(Refusal { code, .. }) => {
                *code != SqlState::FEATURE_NOT_SUPPORTED && *code != SqlState::INVALID_SQL_STATEMENT_NAME
            }
            _ => false,
        }
    }
}

/// An error that PostgreSQL answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: SqlState,
    message: String,
    /// Whether the connection ends with it (FATAL or PANIC).
    is_fatal: bool,
}

impl Refusal {
    /// Reads an `ErrorResponse`: after tag and length its fields, each a type and a text that ends with a zero byte.
    pub(super) fn parse(message: &[u8]) -> io::Result<Self> {
        let fields = message.get(5..).unwrap_or_default().split(|byte| *byte == 0);
        let (mut code, mut text, mut is_fatal) = (None, None, false);
        for field in fields {
            match field.split_first() {
                Some((b'C', value)) => code = std::str::from_utf8(value).ok(),
                // The severity that is never translated.
                Some((b'V', value)) => is_fatal = [b"FATAL".as_slice(), b"PANIC"].contains(&value),
                Some((b'M', value)) => text = Some(String::from_utf8_lossy(value).into_owned()),
                _ => {}
            }
        }
        match (code, text) {
            (Some(code), Some(message)) => Ok(Self { code: SqlState::from_code(code), message, is_fatal }),
            _ => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "PostgreSQL sent an error without its fields"))
            }
        }
    }
}

impl Refusal {
    fn trouble(&self, why: String) -> Trouble {
        if self.is_away() { Trouble::away(why) } else { Trouble::coded(self.meaning(), why) }
    }

    /// The SQLSTATE of PostgreSQL's own words for it, which a pooler does not use; empty where one says that the database is away.
    fn meaning(&self) -> &str {
        pooler::read(&self.code, &self.message).map_or(self.code.code(), |(code, _)| code)
    }

    fn mend(&self) -> &'static str {
        pooler::read(&self.code, &self.message).map_or_else(|| mend(&self.code), |(_, mend)| mend)
    }

    /// Starting up, shutting down, ended by an administrator or a crash (57P), or the way to it (08): it is away.
    fn is_away(&self) -> bool {
        let code = self.meaning();
        code.is_empty() || ["57P", "08"].iter().any(|class| code.starts_with(class))
    }

    /// What PostgreSQL said, without what mends it.
    pub(super) fn said(&self) -> String {
        format!("{} (SQLSTATE {})", self.message, self.code.code())
    }

    /// How much it tells where several servers refuse: that one has no connection to give (class 53) is not mended by another's giving
    /// one, and that one is away is the least.
    pub(super) fn rank(&self) -> (u8, &str) {
        let code = self.meaning();
        let rank = if code.starts_with("53") { 0 } else { 1 + u8::from(self.is_away()) };
        (rank, code)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}{}", self.said(), self.mend())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        if refusal.is_fatal { Self::Lost } else { Self::Refused(refusal) }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(refusal) = refusal(&error) {
            return refusal.into();
        }
        let is_io = std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<io::Error>);
        if error.is_closed() || is_io { Self::Lost } else { Self::Driver(error) }
    }
}

/// What PostgreSQL refused with, if it did; where several servers were tried, what tells the most.
pub(super) fn refusal(error: &tokio_postgres::Error) -> Option<Refusal> {
    if let Some(several) = Several::of(error) {
        return several.decisive.clone();
    }
    let said = error.as_db_error()?;
    // The server says it untranslated from version 9.6 on.
    let is_fatal = matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    Some(Refusal { code: said.code().clone(), message: said.message().to_owned(), is_fatal })
}

/// What a failed attempt at a connection tells of the database.
pub(super) fn trouble(error: &tokio_postgres::Error) -> Trouble {
    let why = describe(error);
    match refusal(error) {
        Some(refusal) => refusal.trouble(why),
        None => Trouble::away(why),
    }
}

/// An error of PostgreSQL or of the driver in one line, with what mends it where we know.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    match (Several::of(error), refusal(error)) {
        (Some(several), Some(refusal)) => format!("{several}{}", refusal.mend()),
        (Some(several), None) => several.to_string(),
        (None, Some(refusal)) => refusal.to_string(),
        (None, None) => words(error),
    }
}

fn mend(code: &SqlState) -> &'static str {
    match code {
        code if *code == SqlState::UNDEFINED_TABLE => "; `plimsoll init-db` makes the tables",
        code if *code == SqlState::INVALID_PASSWORD
            || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
        {
            "; name its user and password in DATABASE_URL, or set the password by ALTER ROLE"
        }
        code if *code == SqlState::UNDEFINED_DATABASE => {
            "; create it by CREATE DATABASE and fill it by `plimsoll init-db`, or name another in DATABASE_URL"
        }
        code if *code == SqlState::TOO_MANY_CONNECTIONS => {
            "; raise max_connections, or the CONNECTION LIMIT of the role or database, or lower --pool-per-core or DATABASE_MAX_CONN"
        }
        code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
            "; this server is a standby, or default_transaction_read_only is on: name the primary, or several hosts with \
             target_session_attrs=read-write"
        }
        code if *code == SqlState::DISK_FULL => {
            "; free space where PostgreSQL's data lie, and writes go on by themselves"
        }
        code if *code == SqlState::QUERY_CANCELED || *code == SqlState::LOCK_NOT_AVAILABLE => {
            "; pg_blocking_pids(pid) says for the sessions of pg_stat_activity who holds them up"
        }
        code if *code == SqlState::INVALID_SQL_STATEMENT_NAME || *code == SqlState::DUPLICATE_PSTATEMENT => {
            pooler::UNNAMED
        }
        _ => "",
    }
}

/// What PostgreSQL said, in its own words; tokio-postgres itself says no more than `db error`.
pub(crate) fn words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        let detail = said.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
        return format!("{}: {}{detail}", said.severity(), said.message());
    }
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use super::super::failing::failed;
    use super::*;

    #[test]
    fn an_error_response_says_what_mends_it() {
        let message = b"E\0\0\0\x2aSERROR\0C42P01\0Mrelation \"world\" does not exist\0\0";
        let error = Error::from(Refusal::parse(message).unwrap());
        let said = "relation \"world\" does not exist (SQLSTATE 42P01); `plimsoll init-db` makes the tables";
        assert_eq!(error.to_string(), said);
    }

    #[tokio::test]
    async fn of_several_servers_that_refuse_the_code_that_tells_the_most_is_kept_and_what_mends_it_is_said_once()
     {
        let refusal = |code: &str| {
            Refusal::parse(format!("E\0\0\0\x2aSFATAL\0VFATAL\0C{code}\0Mno\0\0").as_bytes()).unwrap()
        };
        for (codes, decisive) in
            [(["57P03", "28P01"], "28P01"), (["28P01", "53300"], "53300"), (["53300", "53300"], "53300")]
        {
            let refusals = codes.map(refusal);
            let reasons = refusals.iter().map(Refusal::said).collect();
            let several = Several::new(reasons, refusals.iter().cloned());
            let error = failed(io::Error::other(several), &Config::default()).await;
            assert_eq!(trouble(&error), Trouble::coded(decisive, ""), "{codes:?}");
            let line = describe(&error);
            assert!(codes.iter().all(|code| line.contains(code)), "{line}");
            let mend = mend(&SqlState::from_code(decisive));
            assert!(!mend.is_empty() && line.matches(mend).count() == 1, "{line}");
        }
        let several = Several::new(vec!["b: refused".into(), "a: refused".into()], std::iter::empty());
        let error = failed(io::Error::other(several), &Config::default()).await;
        assert_eq!((trouble(&error), describe(&error)), (Trouble::away(""), "a: refused; b: refused".into()));
    }

    #[test]
    fn a_server_that_stops_has_lost_the_connection() {
        let message = b"E\0\0\0\x2aSFATAL\0VFATAL\0C57P05\0Mterminating connection\0\0";
        assert!(matches!(Refusal::parse(message).unwrap().into(), Error::Lost));
        assert!(Refusal::parse(b"E\0\0\0\x04").is_err());
    }
}
