//! What was done to each table, for people to read.
//!
//! **Invariant:** a table that was not changed is said to be so.

use std::fmt;

/// What was done, table by table. Its `Display` is one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// `world`, then `fortune`.
    pub tables: Vec<TableReport>,
}

/// What was done to one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// The schema it lies in.
    pub schema: String,
    /// Its name.
    pub table: &'static str,
    /// What was done.
    pub outcome: Outcome,
}

/// What was done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there; now it is, with so many rows.
    Created {
        /// How many.
        rows: i64,
    },
    /// It is ours, and so many of its rows were missing.
    FilledUp {
        /// How many were added.
        added: i64,
    },
    /// It is ours, and nothing was missing.
    Complete,
    /// Somebody else made it, and it is as it should be.
    NotOurs,
}

impl Report {
    /// Whether anything was written.
    pub fn changed(&self) -> bool {
        self.tables
            .iter()
            .any(|table| matches!(table.outcome, Outcome::Created { .. } | Outcome::FilledUp { .. }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, table) in self.tables.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{}.{}: {}", table.schema, table.table, table.outcome)?;
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { rows } => write!(f, "created with {rows} rows"),
            Self::FilledUp { added: 1 } => {
                f.write_str("ours; 1 missing row added, the others left as they are")
            }
            Self::FilledUp { added } => {
                write!(f, "ours; {added} missing rows added, the others left as they are")
            }
            Self::Complete => f.write_str("ours and complete; left as it is"),
            Self::NotOurs => f.write_str("not ours, fits; left as it is"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_its_line() {
        let table = |table, outcome| TableReport { schema: "public".into(), table, outcome };
        let report = Report {
            tables: vec![table("world", Outcome::FilledUp { added: 1 }), table("fortune", Outcome::NotOurs)],
        };
        let expected = "public.world: ours; 1 missing row added, the others left as they are\n\
                        public.fortune: not ours, fits; left as it is";
        assert_eq!(report.to_string(), expected);
        assert!(report.changed());
    }
}
