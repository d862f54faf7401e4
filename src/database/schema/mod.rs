//! The tables `world` and `fortune`: made, filled up, or found to be somebody else's.
//!
//! **Invariant:** a table that does not bear our mark (its comment, `made by plimsoll`) is never changed, and a refusal
//! changes nothing at all: everything happens in one transaction, under a lock that several runs wait for in turn.

mod error;
mod report;
mod table;

use tokio_postgres::{Client, IsolationLevel, Transaction};

pub use error::SchemaError;
pub use report::{Outcome, Report, TableReport};

use table::{Found, Table};

/// The statements that make the tables; a script that `psql` can run as well.
const SCHEMA: &str = include_str!("../../../sql/schema.sql");
/// The statements that fill them, as above.
const SEED: &str = include_str!("../../../sql/seed.sql");
/// The key of the advisory lock that the scripts take as well: "plimsoll" read as a number.
const LOCK: i64 = i64::from_be_bytes(*b"plimsoll");

/// Makes the tables that are missing and adds the rows that are missing, in the first schema of the connection's
/// `search_path` or wherever that finds them. May be run any number of times, also by several at once.
///
/// # Errors
/// Refuses tables that are not ours unless they are what they should be, naming what differs and the ways out.
pub async fn load(client: &mut Client) -> Result<Report, SchemaError> {
    // Each statement has to see what another run committed while this one waited for the lock.
    let transaction =
        client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
    // What is reported as made must outlive a crash in the next moment, also where commits do not wait for the disk.
    let careful = "SET LOCAL lock_timeout = '30s'; SELECT set_config('synchronous_commit', 'on', true) \
                   WHERE current_setting('synchronous_commit') = 'off'";
    transaction.batch_execute(careful).await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let before = [inspect(&transaction, &table::WORLD).await?, inspect(&transaction, &table::FORTUNE).await?];
    let differences: Vec<String> = before.iter().flat_map(|(_, found)| found.differences()).collect();
    if !differences.is_empty() {
        return Err(SchemaError::Refused { differences });
    }
    // A database that has everything may be one that cannot be written to.
    if before.iter().any(|(table, found)| found.lacks(table) > 0) {
        transaction.batch_execute(SCHEMA).await?;
        transaction.batch_execute(SEED).await?;
    }
    let mut tables = Vec::new();
    for (table, found) in before {
        tables.push(outcome(&transaction, table, &found).await?);
    }
    transaction.commit().await?;
    Ok(Report { tables })
}

async fn inspect<'a>(
    transaction: &Transaction<'_>,
    table: &'a Table,
) -> Result<(&'a Table, Found), SchemaError> {
    let found = table.find(transaction).await?;
    if matches!(found, Found::Absent) {
        let row = transaction.query_one("SELECT current_schema()", &[]).await?;
        row.try_get::<_, Option<String>>(0)?.ok_or(SchemaError::NoSchema)?;
    }
    Ok((table, found))
}

async fn outcome(
    transaction: &Transaction<'_>,
    table: &Table,
    before: &Found,
) -> Result<TableReport, SchemaError> {
    let schema = table.schema(transaction).await?;
    let outcome = match before {
        Found::Absent => Outcome::Created { rows: table.rows },
        Found::Ours { .. } if before.lacks(table) > 0 => Outcome::FilledUp { added: before.lacks(table) },
        Found::Ours { .. } => Outcome::Complete,
        Found::Foreign { .. } => Outcome::NotOurs,
    };
    Ok(TableReport { schema, table: table.name, outcome })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_take_the_same_lock() {
        for script in [SCHEMA, SEED] {
            assert!(script.contains(&format!("pg_advisory_xact_lock({LOCK})")));
        }
    }

    #[test]
    fn the_scripts_know_the_same_mark() {
        for script in [SCHEMA, SEED] {
            assert_eq!(script.matches(&format!("'{}'", table::MARK)).count(), 2);
        }
    }
}
