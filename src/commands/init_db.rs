//! `plimsoll init-db`: makes and fills the tables in a database that somebody runs.
//!
//! **Invariant:** tables that are not ours are never changed, and it is said when there are such.

use super::{fail, print};
use crate::config::{InitDbArgs, SettingsError};
use crate::database::fill::{FillError, fill};
use crate::database::{Config, target};
use crate::exit::Exit;

/// Loads the schema and the rows.
pub(crate) fn run(args: &InitDbArgs) -> Exit {
    let config = match find_database(args) {
        Ok(config) => config,
        Err(error) => return fail(Exit::Settings, error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(Exit::System, format_args!("no event loop can be made: {error}")),
    };
    match runtime.block_on(fill(&config)) {
        Ok(report) => {
            print(format_args!("{}\n{report}\n", target::describe(&config)));
            Exit::Done
        }
        Err(error @ FillError::Unreached(_)) => fail(Exit::DatabaseUnreached, error),
        Err(error @ FillError::Refused(_)) => fail(Exit::Failed, error),
    }
}

fn find_database(args: &InitDbArgs) -> Result<Config, SettingsError> {
    target::configuration(&args.target()?)?.ok_or_else(|| {
        SettingsError::new(
            "no database is named: give --database-url or set DATABASE_URL or PGHOST. The private PostgreSQL of \
             `plimsoll serve` needs no init-db: it is filled when it is started",
        )
    })
}
