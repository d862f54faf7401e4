//! Opens one database connection and sets its session up; the pool calls this for each.
//!
//! The driver's half of a connection, the task that moves bytes, runs beside the client half on the worker's own runtime.
//!
//! **Invariant:** a connection that is given up takes its task along, also when the giving up happens half-way through the
//! set-up.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::Connect;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_postgres::{Client, Config, Error, NoTls};

use super::reach::Reach;
use crate::config::database::Statements;

/// The least time for opening a connection to one host, whatever the URL says of its socket.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(2);

/// How long opening one connection may take in all, authentication and set-up included; the driver's `connect_timeout`
/// covers only the socket. Each host that is named has its time: the last one may be the one that answers.
pub(super) fn patience(config: &Config) -> Duration {
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
    let each = config.get_connect_timeout().copied().unwrap_or_default().max(SHORTEST_PATIENCE);
    each.saturating_mul(u32::try_from(hosts).unwrap_or(u32::MAX))
}

/// How the driver's connections are made for one worker's pool.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    statements: Statements,
    reach: Arc<Reach>,
    newest: NewestTask,
}

/// The task of the connection opened last, so that a lane can end it when its pipeline hangs. A worker opens one
/// connection at a time, which makes "last" the one just asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct NewestTask(Arc<Mutex<Option<AbortHandle>>>);

impl NewestTask {
    /// The handle, once.
    pub(super) fn take(&self) -> Option<AbortHandle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, handle: AbortHandle) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
    }
}

impl Connector {
    pub(super) fn new(statements: Statements, reach: Arc<Reach>) -> Self {
        Self { statements, reach, newest: NewestTask::default() }
    }

    pub(super) fn newest(&self) -> NewestTask {
        self.newest.clone()
    }

    async fn open(&self, config: Config) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, connection) = config.connect(NoTls).await?;
        let open = self.reach.count_open();
        #[expect(
            clippy::disallowed_methods,
            reason = "deadpool wants a handle to a Send task; this runtime has one thread"
        )]
        let task = AbortOnDrop(Some(tokio::spawn(async move {
            let _open = open;
            if let Err(error) = connection.await {
                tracing::debug!("a database connection ended: {}", super::error::describe(&error));
            }
        })));
        if self.statements == Statements::Cached {
            // By SET and not by start-up options, which poolers refuse. With a custom plan the UPDATE of many rows joins
            // by hash over a sequential scan and locks rows in table order, and requests of mixed size deadlock.
            client.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
        }
        let task = task.disarm();
        self.newest.put(task.abort_handle());
        Ok((client, task))
    }
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
