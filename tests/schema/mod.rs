//! Loading the tables into databases of every kind.
//!
//! **Invariant:** each test has a database of its own, in a server that the tests of this folder share and the last of
//! them stops.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use plimsoll::database::embedded::Embedded;
use plimsoll::database::schema::{self, Outcome, Report, SchemaError};
use tokio_postgres::Config;

use crate::embedded::{Home, ask, converse};

mod tables;

struct Server {
    // In the order in which they have to go.
    embedded: Embedded,
    _home: Home,
}

/// A new and empty database.
struct Database {
    server: Arc<Mutex<Server>>,
    name: String,
}

impl Database {
    fn new() -> Self {
        static SHARED: Mutex<Weak<Mutex<Server>>> = Mutex::new(Weak::new());
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(|| {
            let home = Home::with_cluster();
            let server = Arc::new(Mutex::new(Server { embedded: home.start(), _home: home }));
            *shared = Arc::downgrade(&server);
            server
        });
        drop(shared);
        let database = Self { server, name: format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed)) };
        let create = format!("CREATE DATABASE {} OWNER benchmarkdbuser", database.name);
        let mut superuser = database.config();
        superuser.user("postgres").dbname("postgres");
        converse(&superuser, async |client| client.batch_execute(&create).await.expect("a database"));
        database
    }

    /// A new database in which these statements have been run.
    fn with(statements: &str) -> Self {
        let database = Self::new();
        database.execute(statements);
        database
    }

    fn config(&self) -> Config {
        let given = self.server.lock().unwrap_or_else(PoisonError::into_inner).embedded.config();
        let mut config = Config::clone(&given);
        config.dbname(&self.name);
        config
    }

    fn execute(&self, statements: &str) {
        converse(&self.config(), async |client| client.batch_execute(statements).await.expect("statements"));
    }

    fn load(&self) -> Result<Report, SchemaError> {
        converse(&self.config(), async |client| schema::load(client).await)
    }

    fn load_well(&self) -> [Outcome; 2] {
        let report = self.load().expect("tables");
        [report.tables[0].outcome, report.tables[1].outcome]
    }

    fn refusal(&self) -> String {
        self.load().expect_err("a refusal").to_string()
    }

    fn ask(&self, query: &str) -> String {
        ask(&self.config(), query)
    }
}
