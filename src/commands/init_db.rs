//! `plimsoll init-db`: makes and fills the tables in a database that somebody runs.
//!
//! **Invariant:** tables that are not ours are never changed, and it is said when there are such.

use super::fail;
use crate::config::InitDbArgs;
use crate::exit::Exit;

/// Loads the schema and the rows.
pub(crate) fn run(_args: &InitDbArgs) -> Exit {
    fail(Exit::Failed, "under construction")
}
