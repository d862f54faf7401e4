//! What can go wrong between a handler and PostgreSQL.
//!
//! **Invariant:** which HTTP status follows is decided in [`crate::http::error`], not here.

use tokio_postgres::error::SqlState;

/// A question that PostgreSQL did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection to PostgreSQL, and none is to be had at the moment.
    #[error("the database is not reached")]
    Unreached,
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
    #[error("{}", describe(.0))]
    Refused(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.is_closed()
            || (error.code().is_none()
                && std::error::Error::source(&error)
                    .is_some_and(<dyn std::error::Error>::is::<std::io::Error>))
        {
            return Self::Lost;
        }
        // 57P01 to 57P03: the server is stopping, crashed or starting; the connection goes with it.
        match error.code() {
            Some(code)
                if [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW]
                    .contains(code) =>
            {
                Self::Lost
            }
            _ => Self::Refused(error),
        }
    }
}

/// An error of PostgreSQL or of the driver in one line, with what mends it where we know.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else { return words(error) };
    let mend = match db.code() {
        code if *code == SqlState::UNDEFINED_TABLE => "; `plimsoll init-db` makes the tables",
        code if *code == SqlState::INVALID_PASSWORD
            || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
        {
            "; check the user and password in DATABASE_URL"
        }
        code if *code == SqlState::UNDEFINED_DATABASE => "; create it, or name another in DATABASE_URL",
        code if *code == SqlState::TOO_MANY_CONNECTIONS => {
            "; raise max_connections, or lower --pool-per-core or DATABASE_MAX_CONN"
        }
        code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
            "; this server is a standby: name the primary, or several hosts with target_session_attrs=read-write"
        }
        code if *code == SqlState::INVALID_SQL_STATEMENT_NAME => {
            "; behind a transaction pooler set --statements unnamed"
        }
        _ => "",
    };
    format!("{} (SQLSTATE {}){mend}", db.message(), db.code().code())
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
