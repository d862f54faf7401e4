//! What a pooler between us and PostgreSQL says for itself, what mends it, and how one is told from PostgreSQL.
//!
//! `PgBouncer` has one SQLSTATE for all that it says, 08P01, so that only the words tell one thing from another. Those here are of its
//! versions 1.18 to 1.25 (`disconnect_client` and `send_pooler_error` in its sources). docs/pgbouncer.md is the page for people.
//!
//! **Invariant:** words that are not known change nothing: they are what any server may say.

use std::io;

use tokio::io::{AsyncReadExt as _, duplex};
use tokio_postgres::error::SqlState;
use tokio_postgres::{CancelToken, Client, Error, SimpleQueryMessage};

use super::tls::Handed;

/// What mends that a statement is not there, or is another one, which the same connection has prepared.
pub(super) const UNNAMED: &str =
    "; behind a transaction pooler set --statements unnamed (and leave --driver direct out)";

/// Length, code, process and secret of a cancel request, in bytes (PostgreSQL manual, "Message Formats", `CancelRequest`).
const CANCEL_REQUEST: usize = 16;

/// Something that a pooler says.
struct Said {
    /// What its message holds.
    words: &'static str,
    /// What `PostgreSQL` would say for it; empty where the pooler says that the database is away.
    code: &'static str,
    mend: &'static str,
}

const SAID: [Said; 9] = [
    Said {
        words: "unsupported startup parameter",
        code: "0A000",
        mend: "; leave `options` out of DATABASE_URL and set it at the server by ALTER ROLE … SET, or name it in PgBouncer's \
               ignore_startup_parameters, which drops it",
    },
    Said {
        words: "(max_client_conn)",
        code: "53300",
        mend: "; raise max_client_conn in PgBouncer, or lower --pool-per-core or DATABASE_MAX_CONN",
    },
    Said {
        words: "query_wait_timeout",
        code: "53300",
        mend: "; raise default_pool_size in PgBouncer, or lower --pool-per-core or DATABASE_MAX_CONN",
    },
    Said {
        words: "(server_login_retry)",
        code: "",
        mend: "; PgBouncer looks for it again after its server_login_retry, 15 s unless set: 1 is soon enough",
    },
    Said { words: "prepared statement", code: "26000", mend: UNNAMED },
    Said {
        words: "no such database",
        code: "3D000",
        mend: "; name it in the [databases] of PgBouncer, or another in DATABASE_URL",
    },
    Said {
        words: "no such user",
        code: "28000",
        mend: "; name it in the auth_file of PgBouncer, or another in DATABASE_URL",
    },
    Said {
        words: "authentication failed",
        code: "28P01",
        mend: "; DATABASE_URL and the auth_file of PgBouncer are to have the same password",
    },
    Said { words: "SSL required", code: "28000", mend: "; set sslmode=require in DATABASE_URL" },
];

/// What PostgreSQL would call an error of a pooler, and what mends it; none for what is no such error.
pub(super) fn read(code: &SqlState, message: &str) -> Option<(&'static str, &'static str)> {
    if *code != SqlState::PROTOCOL_VIOLATION {
        return None;
    }
    let said = SAID.iter().find(|said| message.contains(said.words))?;
    Some((said.code, said.mend))
}

/// What a session's server process says of itself; more columns may follow.
pub(super) const WHO: &str = "SELECT pg_catalog.pg_backend_pid()";

/// Asks a question that begins with [`WHO`], and says whether somebody else than that server process answers on this session: the key
/// to cancel it by names another process (PostgreSQL manual, "Message Formats", `BackendKeyData`). A pooler that hands the server's own
/// key on is taken for the server.
pub(super) async fn stands_between(client: &Client, question: &str) -> Result<bool, Error> {
    let answer = client.simple_query(question).await?;
    let process = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse::<i32>().ok(),
        _ => None,
    });
    let named = key_of(client.cancel_token()).await;
    Ok(process.is_some() && named.is_some() && process != named)
}

/// The process that a session's key names.
async fn key_of(token: CancelToken) -> Option<i32> {
    let request = cancel_request(token).await.ok()?;
    let process = request.get(8..12)?;
    Some(i32::from_be_bytes(process.try_into().ok()?))
}

/// What cancels the session's query, as bytes. The driver would close its half of the connection behind them, upon which a pooler that
/// has to open one of its own first lets the request fall.
pub(super) async fn cancel_request(token: CancelToken) -> io::Result<[u8; CANCEL_REQUEST]> {
    let (mut ours, its) = duplex(CANCEL_REQUEST);
    token.cancel_query_raw(its, Handed(None)).await.map_err(io::Error::other)?;
    let mut request = [0; CANCEL_REQUEST];
    ours.read_exact(&mut request).await?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pooler_says_is_told_by_its_words_and_by_its_code() {
        let full = "no more connections allowed (max_client_conn)";
        assert_eq!(read(&SqlState::PROTOCOL_VIOLATION, full).map(|(code, _)| code), Some("53300"));
        assert_eq!(read(&SqlState::SYNTAX_ERROR, full), None);
        assert_eq!(read(&SqlState::PROTOCOL_VIOLATION, "invalid message format"), None);
    }

    #[test]
    fn a_statement_that_is_another_one_names_the_same_mend_as_one_that_is_missing() {
        let other = "bind message supplies 1 parameters, but prepared statement \"s2\" requires 0";
        assert_eq!(read(&SqlState::PROTOCOL_VIOLATION, other), Some(("26000", UNNAMED)));
    }
}
