//! A database of its own for each test, copied from one seeded template.
//!
//! **Invariant:** no two tests see each other's rows or counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, SimpleQueryMessage};

use super::cluster::Cluster;
use super::patience::{PATIENCE, wait_until};

const TEMPLATE: &str = "plimsoll_template";

/// Loads `sql/` once, as the ordinary user who owns it.
pub(super) fn make_template(cluster: &Cluster) {
    let admin = cluster.administer("postgres");
    admin.run("CREATE ROLE plimsoll LOGIN PASSWORD 'secret'");
    admin.run(&format!("CREATE DATABASE {TEMPLATE} OWNER plimsoll"));
    cluster.administer(TEMPLATE).run("CREATE EXTENSION pg_stat_statements");
    let owner = Session::open(&cluster.url(TEMPLATE));
    owner.run(include_str!("../../sql/schema.sql"));
    owner.run(include_str!("../../sql/seed.sql"));
    drop(owner);
    // A database that is copied must have no visitors.
    admin.run(&format!("ALTER DATABASE {TEMPLATE} IS_TEMPLATE true ALLOW_CONNECTIONS false"));
}

/// A blocking session with PostgreSQL.
pub(crate) struct Session {
    client: Client,
    runtime: Runtime,
}

impl Session {
    pub(crate) fn open(url: &str) -> Self {
        Self::try_open(url).unwrap_or_else(|error| panic!("{url}: {error:?}"))
    }

    /// The same where PostgreSQL may be away.
    pub(crate) fn try_open(url: &str) -> Result<Self, tokio_postgres::Error> {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (client, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls))?;
        runtime.spawn(connection);
        Ok(Self { client, runtime })
    }

    /// Runs statements that return nothing.
    pub(crate) fn run(&self, statements: &str) {
        self.try_run(statements).unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// The same where they may fail.
    pub(crate) fn try_run(&self, statements: &str) -> Result<(), tokio_postgres::Error> {
        self.runtime.block_on(self.client.batch_execute(statements))
    }

    pub(crate) fn rows(&self, query: &str, parameters: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.runtime
            .block_on(self.client.query(query, parameters))
            .unwrap_or_else(|error| panic!("{query}: {error:?}"))
    }

    /// The one value that a query returns, in PostgreSQL's own words.
    pub(crate) fn text(&self, query: &str) -> String {
        let answers = self
            .runtime
            .block_on(self.client.simple_query(query))
            .unwrap_or_else(|error| panic!("{query}: {error:?}"));
        let mut rows = answers.iter().filter_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        rows.next().unwrap_or_else(|| panic!("{query}: no row")).to_owned()
    }

    /// The one `bigint` that a query returns.
    pub(crate) fn number(&self, query: &str) -> i64 {
        self.rows(query, &[])[0].get(0)
    }
}

/// What `pg_stat_statements` holds about one statement.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) calls: i64,
    pub(crate) rows: i64,
}

impl Statement {
    /// The SELECTs that a route sends for a row of `world`.
    pub(crate) fn is_world_select(&self) -> bool {
        let text = self.text.to_lowercase();
        text.contains("select") && text.contains("from world")
    }

    pub(crate) fn is_world_update(&self) -> bool {
        self.text.to_lowercase().contains("update world")
    }
}

/// A copy of the template; dropped with the test.
pub(crate) struct TestDatabase {
    name: String,
    admin: Session,
}

impl TestDatabase {
    pub(crate) fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Cluster::shared()
            .administer("postgres")
            .run(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER plimsoll"));
        let admin = Cluster::shared().administer(&name);
        Self { name, admin }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> String {
        Cluster::shared().url(&self.name)
    }

    /// The same database by way of another port, such as a forwarder's.
    pub(crate) fn url_through(&self, port: u16) -> String {
        format!("postgres://plimsoll:secret@127.0.0.1:{port}/{}?sslmode=disable", self.name)
    }

    /// A session as superuser in this database.
    pub(crate) fn admin(&self) -> &Session {
        &self.admin
    }

    /// The `randomnumber` of every row, by id.
    pub(crate) fn world_numbers(&self) -> HashMap<i32, i32> {
        let rows = self.admin.rows("SELECT id, randomnumber FROM public.world", &[]);
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The statements of the service so far: not those of this session.
    pub(crate) fn statements(&self) -> Vec<Statement> {
        let query = "SELECT query, calls, rows FROM pg_stat_statements \
                     WHERE userid = 'plimsoll'::regrole \
                     AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let rows = self.admin.rows(query, &[]);
        rows.iter().map(|row| Statement { text: row.get(0), calls: row.get(1), rows: row.get(2) }).collect()
    }

    /// Calls and rows of the SELECTs on `world`.
    pub(crate) fn world_selects(&self) -> (i64, i64) {
        let statements = self.statements();
        let selects = statements.iter().filter(|statement| statement.is_world_select());
        selects.fold((0, 0), |(calls, rows), statement| (calls + statement.calls, rows + statement.rows))
    }

    pub(crate) fn forget_statements(&self) {
        let name = &self.name;
        self.admin.run(&format!(
            "SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = '{name}'), 0)"
        ));
    }

    /// Deadlocks ever seen here. Backends report them at the latest when they end, so the server must have stopped.
    pub(crate) fn deadlocks(&self) -> i64 {
        wait_until("the server's database connections to end", PATIENCE, || {
            let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                          AND pid <> pg_backend_pid()";
            (self.admin.number(others) == 0).then_some(())
        });
        self.admin.number("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A copy takes eight megabytes of disk; a test that is failing already must not fail twice.
        if !std::thread::panicking() {
            let name = &self.name;
            Cluster::shared().administer("postgres").run(&format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}
