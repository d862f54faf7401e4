//! Opens one database connection and sets its session up; the pool calls this for each.
//!
//! The driver's half of a connection, the task that moves bytes, runs beside the client half on the worker's own runtime, over
//! a stream of ours ([`super::wire`]).
//!
//! **Invariant:** a connection that is given up takes its task along, also when the giving up happens half-way through the
//! set-up.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::Connect;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{CancelToken, Client, Config, Error, NoTls, SimpleQueryMessage};

use super::dial::{self, Address};
use super::failing::failed;
use super::reach::Reach;
use super::wire::{Pipeline, Wire};
use crate::config::database::{Driver, Statements};

/// The least time for opening a connection to one host, whatever the URL says of its socket.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(2);

/// How long a cancel request to PostgreSQL may take; it is sent to spare the server, nothing waits for it.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long opening one connection may take in all, authentication and set-up included; the driver's `connect_timeout`
/// covers only the socket. Each host that is named has its time: the last one may be the one that answers.
pub(super) fn patience(config: &Config) -> Duration {
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
    patience_for_each(config).saturating_mul(u32::try_from(hosts).unwrap_or(u32::MAX))
}

/// How long one address may take, authentication and set-up included.
fn patience_for_each(config: &Config) -> Duration {
    config.get_connect_timeout().copied().unwrap_or_default().max(SHORTEST_PATIENCE)
}

/// How the driver's connections are made for one worker's pool.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    driver: Driver,
    statements: Statements,
    reach: Arc<Reach>,
    newest: Newest,
    ends: Ends,
}

/// What a lane needs of its connection beside the client that the pool hands out.
#[derive(Clone)]
pub(super) struct Line {
    /// The task that moves its bytes.
    pub(super) task: AbortHandle,
    /// The way past the driver.
    pub(super) pipeline: Pipeline,
    /// Where the server was reached, to cancel what runs there.
    address: Address,
    config: Config,
}

impl Line {
    /// Ends the connection with all that is pending on it, and asks PostgreSQL to stop working on it.
    pub(super) fn end(&self, token: CancelToken) {
        self.task.abort();
        let line = self.clone();
        tokio::task::spawn_local(async move {
            // PostgreSQL may be gone, and then there is nothing to cancel.
            let _ = tokio::time::timeout(CANCEL_TIMEOUT, line.cancel(token)).await;
        });
    }

    async fn cancel(&self, token: CancelToken) -> Result<(), Error> {
        match dial::dial(&self.address, &self.config).await {
            Ok(socket) => token.cancel_query_raw(socket, NoTls).await,
            Err(error) => Err(failed(error, &self.config).await),
        }
    }
}

/// The line of the connection opened last. A worker opens one connection at a time, which makes "last" the one just asked for.
#[derive(Clone, Default)]
pub(super) struct Newest(Arc<Mutex<Option<Line>>>);

/// Says that a connection ended by itself; several that end at once may be said once.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends(Arc<Notify>);

impl Ends {
    /// Waits for the next one, or the one that was not heard of yet.
    pub(super) async fn next(&self) {
        self.0.notified().await;
    }
}

impl Newest {
    /// The line, once.
    pub(super) fn take(&self) -> Option<Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, line: Line) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    }
}

impl std::fmt::Debug for Newest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Newest")
    }
}

impl Connector {
    pub(super) fn new(driver: Driver, statements: Statements, reach: Arc<Reach>) -> Self {
        Self { driver, statements, reach, newest: Newest::default(), ends: Ends::default() }
    }

    pub(super) fn newest(&self) -> Newest {
        self.newest.clone()
    }

    pub(super) fn ends(&self) -> Ends {
        self.ends.clone()
    }

    /// Opens a connection to the first server that takes it.
    async fn open(&self, config: Config) -> Result<(Client, JoinHandle<()>), Error> {
        let candidates = match dial::candidates(&config) {
            Ok(candidates) => candidates,
            Err(error) => return Err(failed(error, &config).await),
        };
        let mut last = None;
        for candidate in &candidates {
            let addresses = match dial::resolve(candidate, &config).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    last = Some(failed(error, &config).await);
                    continue;
                }
            };
            for address in addresses {
                let silent = format!("{address}: it did not answer in time");
                let opened = self.open_at(address, &config);
                match tokio::time::timeout(patience_for_each(&config), opened).await {
                    Ok(Ok(opened)) => return Ok(opened),
                    Ok(Err(error)) => last = Some(error),
                    Err(_) => {
                        let error = io::Error::new(io::ErrorKind::TimedOut, silent);
                        last = Some(failed(error, &config).await);
                    }
                }
            }
        }
        match last {
            Some(error) => Err(error),
            None => Err(failed(io::Error::other("no host has an address"), &config).await),
        }
    }

    async fn open_at(&self, address: Address, config: &Config) -> Result<(Client, JoinHandle<()>), Error> {
        let socket = match dial::dial(&address, config).await {
            Ok(socket) => socket,
            Err(error) => return Err(failed(error, config).await),
        };
        let is_direct = self.driver == Driver::Direct;
        let wire = Wire::new(socket, is_direct);
        let pipeline = wire.pipeline();
        let (client, connection) = config.connect_raw(wire, NoTls).await?;
        if is_direct {
            pipeline.share();
        }
        let (open, ends) = (self.reach.count_open(), self.ends.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "deadpool wants a handle to a Send task; this runtime has one thread"
        )]
        let task = AbortOnDrop(Some(tokio::spawn(async move {
            let _open = open;
            if let Err(error) = connection.await {
                tell_the_end(&error);
            }
            // The connection is dropped by now, so that its client says that it is closed.
            ends.0.notify_one();
        })));
        check_session(&client, config).await?;
        if self.statements == Statements::Cached {
            // By SET and not by start-up options, which poolers refuse. With a custom plan the UPDATE of many rows joins
            // by hash over a sequential scan and locks rows in table order, and requests of mixed size deadlock.
            client.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
        }
        let task = task.disarm();
        let line = Line { task: task.abort_handle(), pipeline, address, config: config.clone() };
        self.newest.put(line);
        Ok((client, task))
    }
}

/// Says why a connection ended: aloud where what came over it was not PostgreSQL's protocol.
fn tell_the_end(error: &Error) {
    let why = super::error::describe(error);
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    if cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData) {
        tracing::warn!("a database connection is given up: {why}");
    } else {
        tracing::debug!("a database connection ended: {why}");
    }
}

/// Whether the server is of the kind that the configuration wants (`target_session_attrs`).
async fn check_session(client: &Client, config: &Config) -> Result<(), Error> {
    let wanted = match config.get_target_session_attrs() {
        TargetSessionAttrs::ReadWrite => "off",
        TargetSessionAttrs::ReadOnly => "on",
        _ => return Ok(()),
    };
    let answer = client.simple_query("SHOW transaction_read_only").await?;
    let is = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0) == Some(wanted),
        _ => false,
    };
    if answer.iter().any(is) {
        return Ok(());
    }
    let why = if wanted == "off" { "database does not allow writes" } else { "database is not read only" };
    Err(failed(io::Error::new(io::ErrorKind::PermissionDenied, why), config).await)
}

impl Connect for Connector {
    fn connect(
        &self,
        config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        let config = config.clone();
        Box::pin(self.open(config))
    }
}

/// Ends the task when the set-up fails or is cancelled.
struct AbortOnDrop(Option<JoinHandle<()>>);

impl AbortOnDrop {
    fn disarm(mut self) -> JoinHandle<()> {
        match self.0.take() {
            Some(task) => task,
            None => unreachable!("only disarm and drop take the task, and both consume the guard"),
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_that_is_named_gets_its_time() {
        for (url, seconds) in [
            ("host=a", 2),
            ("host=a,b,c", 6),
            ("host=a connect_timeout=1", 2),
            ("host=a,b connect_timeout=10", 20),
            ("hostaddr=192.0.2.1,192.0.2.2", 4),
        ] {
            assert_eq!(patience(&url.parse().unwrap()), Duration::from_secs(seconds), "{url}");
        }
    }
}
