//! Why the tables could not be loaded.
//!
//! **Invariant:** whatever is said here, the database is as it was before.

use super::super::error::words;

/// Why the tables could not be loaded. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Tables of these names are there, and are not what they should be.
    #[error(
        "{}. Nothing was changed. Give a database of its own (`createdb hello_world`), rename or drop these tables, or \
         set the role's search_path to another schema",
        differences.join("; ")
    )]
    Refused {
        /// One sentence each: which table, and what differs.
        differences: Vec<String>,
    },
    /// No schema on the `search_path` exists, so that there is no place for a table.
    #[error(
        "no schema of the search_path exists; create one (`CREATE SCHEMA public`), or set the role's search_path"
    )]
    NoSchema,
    /// PostgreSQL refused something, or went away.
    #[error("{}{}", words(.0), way_out(.0))]
    Postgres(#[from] tokio_postgres::Error),
}

fn way_out(error: &tokio_postgres::Error) -> &'static str {
    match error.code().map(tokio_postgres::error::SqlState::code) {
        Some("42501") => {
            "; let the role create tables there (`GRANT CREATE ON SCHEMA … TO …`) and read them, or give a database it owns"
        }
        Some("55P03") => {
            "; somebody else holds these tables, or another init-db has been at work for 30 s: try again"
        }
        Some("25006") => "; this is a server that only reads: name the one that is written to",
        Some("22P05" | "22021") => "; give a database whose encoding is UTF8",
        _ => "",
    }
}
