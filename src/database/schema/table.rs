//! One table: what it should be, and what is there.
//!
//! **Invariant:** looking changes nothing, and reads at most one row more than there should be.

use tokio_postgres::{Error, Transaction};

/// The comment that says that a table is ours.
pub(super) const MARK: &str = "made by plimsoll";

/// What a table should be.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) rows: i64,
    /// A column's name and the types it may have, as PostgreSQL writes them. The service reads these and no others.
    columns: [(&'static str, &'static [&'static str]); 2],
}

pub(super) const WORLD: Table =
    Table { name: "world", rows: 10_000, columns: [("id", &["integer"]), ("randomnumber", &["integer"])] };

pub(super) const FORTUNE: Table = Table {
    name: "fortune",
    rows: 12,
    columns: [("id", &["integer"]), ("message", &["character varying", "text"])],
};

/// What is there.
#[derive(Debug)]
pub(super) enum Found {
    Absent,
    /// Ours by its mark, with so many of the rows it should have.
    Ours {
        rows: i64,
        differences: Vec<String>,
    },
    /// Somebody else's.
    Foreign {
        differences: Vec<String>,
    },
}

impl Found {
    /// What keeps the table from being used, one sentence each.
    pub(super) fn differences(&self) -> Vec<String> {
        match self {
            Self::Absent => Vec::new(),
            Self::Ours { differences, .. } | Self::Foreign { differences } => differences.clone(),
        }
    }

    /// How many rows are to be added.
    pub(super) fn lacks(&self, table: &Table) -> i64 {
        match self {
            Self::Absent => table.rows,
            Self::Ours { rows, .. } => table.rows - rows,
            Self::Foreign { .. } => 0,
        }
    }
}

impl Table {
    /// Looks for the table where the connection's `search_path` leads.
    pub(super) async fn find(&self, transaction: &Transaction<'_>) -> Result<Found, Error> {
        let query = "SELECT n.nspname, c.relkind::text, \
                     coalesce(obj_description(c.oid, 'pg_class') = $2, false) \
                     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";
        let Some(row) = transaction.query_opt(query, &[&self.name, &MARK]).await? else {
            return Ok(Found::Absent);
        };
        let (schema, kind, ours): (String, String, bool) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let mut wrong = self.wrong_shape(transaction, &kind).await?;
        if wrong.is_empty() && !ours {
            wrong = self.wrong_rows(transaction).await?;
        }
        let whose =
            if ours { "was made by plimsoll and has been altered" } else { "was not made by plimsoll" };
        let differences = wrong
            .iter()
            .map(|what| format!("table {schema}.{} {whose}: {what}", self.name))
            .collect::<Vec<_>>();
        if !ours {
            return Ok(Found::Foreign { differences });
        }
        let rows = if differences.is_empty() { self.count(transaction).await? } else { 0 };
        Ok(Found::Ours { rows, differences })
    }

    /// The schema in which the table is found.
    pub(super) async fn schema(&self, transaction: &Transaction<'_>) -> Result<String, Error> {
        let query = "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                     WHERE c.oid = to_regclass($1)";
        transaction.query_one(query, &[&self.name]).await?.try_get(0)
    }

    async fn count(&self, transaction: &Transaction<'_>) -> Result<i64, Error> {
        let query = format!("SELECT count(*) FROM {} WHERE id BETWEEN 1 AND {}", self.name, self.rows);
        transaction.query_one(&query, &[]).await?.try_get(0)
    }

    async fn wrong_shape(&self, transaction: &Transaction<'_>, kind: &str) -> Result<Vec<String>, Error> {
        // Ordinary and partitioned tables, and foreign ones: whatever takes all our statements.
        if !["r", "p", "f"].contains(&kind) {
            return Ok(vec!["it is a view or the like, wanted a table".into()]);
        }
        let query = "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute \
                     WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
        let mut there: Vec<(String, String)> = Vec::new();
        for row in transaction.query(query, &[&self.name]).await? {
            there.push((row.try_get(0)?, row.try_get(1)?));
        }
        Ok(self.compare_columns(&there))
    }

    fn compare_columns(&self, there: &[(String, String)]) -> Vec<String> {
        let compare = |(wanted, types): &(&str, &[&str])| {
            let wish = types.join(" or ");
            match there.iter().find(|(name, _)| name == wanted) {
                None => Some(format!("it has no column {wanted} ({wish})")),
                Some((_, is)) if !types.contains(&is.as_str()) => {
                    Some(format!("its column {wanted} is {is}, wanted {wish}"))
                }
                Some(_) => None,
            }
        };
        self.columns.iter().filter_map(compare).collect()
    }

    /// Compares the rows of a table that is not ours: all the ids, no nulls; for `fortune` also the texts.
    async fn wrong_rows(&self, transaction: &Transaction<'_>) -> Result<Vec<String>, Error> {
        let [_, (value, _)] = self.columns;
        let query = format!(
            "SELECT count(*), count(DISTINCT id) FILTER (WHERE id BETWEEN 1 AND {rows}), \
             count(*) FILTER (WHERE {value} IS NULL) \
             FROM (SELECT id, {value} FROM {name} LIMIT {rows} + 1) AS seen",
            rows = self.rows,
            name = self.name,
        );
        let row = transaction.query_one(&query, &[]).await?;
        let (count, ids, nulls): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let mut wrong = Vec::new();
        if count != self.rows || ids != self.rows {
            let more = if count > self.rows { "at least " } else { "" };
            wrong.push(format!(
                "it has {more}{count} rows, {ids} of the ids 1 to {}, wanted each of these once",
                self.rows
            ));
        }
        if nulls > 0 {
            wrong.push(format!("its column {value} is null in {nulls} rows"));
        }
        if wrong.is_empty() && self.name == FORTUNE.name {
            wrong = wrong_fortunes(transaction).await?;
        }
        Ok(wrong)
    }
}

async fn wrong_fortunes(transaction: &Transaction<'_>) -> Result<Vec<String>, Error> {
    let mut there: Vec<(i32, String)> = Vec::new();
    for row in transaction.query("SELECT id, message FROM fortune ORDER BY id", &[]).await? {
        there.push((row.try_get(0)?, row.try_get(1)?));
    }
    let differ = fortunes().filter(|wanted| !there.contains(wanted));
    Ok(differ.map(|(id, wanted)| format!("its row {id} does not say `{wanted}`")).collect())
}

/// The fortunes, as the script that inserts them has them: one a line, `(1, 'text'),`.
fn fortunes() -> impl Iterator<Item = (i32, String)> {
    super::SEED.lines().filter_map(|line| {
        let (id, text) =
            line.trim().trim_end_matches(',').strip_prefix('(')?.strip_suffix(')')?.split_once(", ")?;
        let text = text.strip_prefix('\'')?.strip_suffix('\'')?;
        Some((id.parse().ok()?, text.replace("''", "'")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twelve_fortunes_are_read_from_the_script() {
        let fortunes: Vec<_> = fortunes().collect();
        assert!(fortunes.iter().map(|(id, _)| *id).eq(1..=12));
        assert_eq!(fortunes[1].1, "A computer scientist is someone who fixes things that aren't broken.");
        assert_eq!(fortunes[11].1, "フレームワークのベンチマーク");
    }

    #[test]
    fn columns_are_compared_by_name_and_type() {
        let there =
            |number: &str| vec![("id".to_owned(), "integer".to_owned()), ("n".to_owned(), number.to_owned())];
        assert_eq!(WORLD.compare_columns(&there("integer")), ["it has no column randomnumber (integer)"]);
        let bigint =
            [("randomnumber".to_owned(), "bigint".to_owned()), ("id".to_owned(), "integer".to_owned())];
        assert_eq!(WORLD.compare_columns(&bigint), ["its column randomnumber is bigint, wanted integer"]);
        let text = [("message".to_owned(), "text".to_owned()), ("id".to_owned(), "integer".to_owned())];
        assert!(FORTUNE.compare_columns(&text).is_empty());
    }
}
