//! What we say to the server ourselves: is it ours, and are the role, the database and the tables there.
//!
//! **Invariant:** every conversation has a deadline, and runs on a runtime of its own that ends with it, so that the
//! callers of this module are ordinary blocking code.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use super::error::EmbeddedError;
use super::settings;
use super::site::Site;
use crate::database::schema::{self, Report, SchemaError};

/// The role and the database that the TechEmpower benchmarks know.
const ROLE: &str = "benchmarkdbuser";
const PASSWORD: &str = "benchmarkdbpass";
const DATABASE: &str = "hello_world";
const SUPERUSER: &str = "postgres";

/// A server that works answers in milliseconds; one that has been stopped by a signal never does.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);
/// Making a database copies files, and may wait for a checkpoint.
const SETUP_DEADLINE: Duration = Duration::from_mins(1);

/// How a running server answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// It serves our cluster; `fits` says whether with the settings we want.
    Serving { fits: bool },
    /// It is starting or recovering; `socket` says whether it says so itself, or is not even there to ask.
    NotYet { socket: bool },
    /// It does not answer, or serves something else.
    No,
}

/// The way of the service to the database.
pub(super) fn config(site: &Site) -> Config {
    connect_as(site, ROLE, DATABASE)
}

/// The same over TCP, where the benchmark's user is asked for its password.
pub(super) fn tcp_config(site: &Site) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1").port(site.port).user(ROLE).password(PASSWORD).dbname(DATABASE);
    config.application_name("plimsoll");
    config
}

fn connect_as(site: &Site, user: &str, database: &str) -> Config {
    let mut config = Config::new();
    config
        .host_path(&site.socket.path)
        .port(site.port)
        .user(user)
        .dbname(database)
        .application_name("plimsoll");
    config
}

/// The way of our own to see to things. What is made by it outlives a crash in the next moment.
fn superuser(site: &Site, database: &str) -> Config {
    let mut config = connect_as(site, SUPERUSER, database);
    config.options("-c synchronous_commit=on -c default_transaction_read_only=off");
    config
}

/// Asks the server behind the socket what it serves, and how.
pub(super) fn probe(site: &Site) -> Answer {
    let config = superuser(site, "postgres");
    let asked = converse(&config, PROBE_DEADLINE, async |client| {
        let query = "SELECT current_setting('data_directory'), current_setting('max_connections')::int8, \
                     current_setting('listen_addresses'), current_setting('port')::int8";
        let row = client.query_one(query, &[]).await?;
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
    });
    match asked {
        Ok((directory, connections, listens, port)) => {
            let directory: String = directory;
            let (connections, listens, port): (i64, String, i64) = (connections, listens, port);
            if std::path::Path::new(&directory).canonicalize().ok().as_ref() != Some(&site.cluster) {
                return Answer::No;
            }
            let fits = connections >= i64::from(settings::connections_for(site.max_connections))
                && listens == settings::listen_addresses(site.tcp)
                && port == i64::from(site.port);
            Answer::Serving { fits }
        }
        Err(Trouble::Postgres(error)) if error.code() == Some(&SqlState::CANNOT_CONNECT_NOW) => {
            Answer::NotYet { socket: true }
        }
        Err(Trouble::Postgres(error)) if is_refused(&error) => Answer::NotYet { socket: false },
        Err(_) => Answer::No,
    }
}

/// Sees to the role, the database and the statistics extension; returns the server's version.
pub(super) fn set_up(site: &Site) -> Result<String, EmbeddedError> {
    let failed = |doing| move |trouble: Trouble| EmbeddedError::Session { doing, detail: trouble.words() };
    let version = converse(&superuser(site, "postgres"), SETUP_DEADLINE, make_database);
    let version = version.map_err(failed("making its role and database"))?;
    if site.binaries.has_statement_statistics() {
        let extended = converse(&superuser(site, DATABASE), SETUP_DEADLINE, make_extension);
        extended.map_err(failed("making its statistics extension"))?;
    }
    Ok(version)
}

/// Loads the tables as the benchmark's user, who then owns them.
pub(super) fn load_schema(site: &Site) -> Result<Report, EmbeddedError> {
    let loaded = converse(&config(site), SETUP_DEADLINE, async |client| Ok(schema::load(client).await));
    let loaded: Result<Report, SchemaError> = loaded.map_err(|trouble| EmbeddedError::Session {
        doing: "connecting to load its tables",
        detail: trouble.words(),
    })?;
    Ok(loaded?)
}

async fn make_database(client: &mut Client) -> Result<String, tokio_postgres::Error> {
    let query = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1), \
                 EXISTS (SELECT FROM pg_database WHERE datname = $2), current_setting('server_version')";
    let row = client.query_one(query, &[&ROLE, &DATABASE]).await?;
    let (role, database, version): (bool, bool, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if !role {
        let create = format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'; GRANT pg_monitor TO {ROLE}");
        client.batch_execute(&create).await?;
    }
    if !database {
        client.batch_execute(&format!("CREATE DATABASE {DATABASE} OWNER {ROLE}")).await?;
    }
    // "15.18 (Debian 15.18-0+deb12u1)" is 15.18 to everybody but Debian.
    Ok(version.split(' ').next().unwrap_or_default().to_owned())
}

async fn make_extension(client: &mut Client) -> Result<(), tokio_postgres::Error> {
    let query = "SELECT EXISTS (SELECT FROM pg_available_extensions \
                 WHERE name = 'pg_stat_statements' AND installed_version IS NULL)";
    if client.query_one(query, &[]).await?.try_get(0)? {
        client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
    }
    Ok(())
}

/// Why a conversation came to nothing.
enum Trouble {
    Late(Duration),
    Runtime(io::Error),
    Postgres(tokio_postgres::Error),
}

impl Trouble {
    fn words(&self) -> String {
        match self {
            Self::Late(after) => format!("no answer within {} s", after.as_secs()),
            Self::Runtime(error) => error.to_string(),
            Self::Postgres(error) => crate::database::error::words(error),
        }
    }
}

/// Connects, has one conversation, and hangs up.
fn converse<T>(
    config: &Config,
    deadline: Duration,
    talk: impl AsyncFnOnce(&mut Client) -> Result<T, tokio_postgres::Error>,
) -> Result<T, Trouble> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Trouble::Runtime)?;
    let conversation = async {
        let (mut client, connection) = config.connect(NoTls).await?;
        let talk = pin!(talk(&mut client));
        match select(talk, pin!(connection)).await {
            Either::Left((said, _)) => said,
            // The connection ended first: what waits on it now fails with the reason.
            Either::Right((_, talk)) => talk.await,
        }
    };
    runtime
        .block_on(async { tokio::time::timeout(deadline, conversation).await })
        .map_err(|_| Trouble::Late(deadline))?
        .map_err(Trouble::Postgres)
}

/// There is no socket, or nobody behind it.
fn is_refused(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| {
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
    })
}
