//! Opens one database connection and sets its session up; the pool calls this for each.
//!
//! The driver's half of a connection, the task that moves bytes, runs beside the client half on the worker's own runtime, over
//! a stream of ours ([`super::wire`]).
//!
//! **Invariant:** a connection has no task before its set-up is done, so that one that is given up half-way leaves nothing behind.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::Connect;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_postgres::{CancelToken, Client, Connection, Error};

use super::config::Config;
use super::dial::{self, Address};
use super::hosts::{self, Driving, Manner, Opened, Silent};
use super::pool::PoolSettings;
use super::pooler;
use super::reach::{Open, Reach};
use super::replicas::{Fleet, ReadHost, Seat};
use super::wire::Pipeline;
use crate::config::database::{Driver, Statements};

/// The least time for opening a connection to one host, whatever the URL says of its socket.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(2);

/// How long a cancel request to PostgreSQL may take; it is sent to spare the server, nothing waits for it.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// The shortest share of a request's time that a host gets: logging in takes a few round trips and some hashing.
const SHORTEST_SHARE: Duration = Duration::from_millis(500);
/// How much longer than a request PostgreSQL waits before it ends a statement by itself, should the cancel be lost.
const STATEMENT_MARGIN: Duration = Duration::from_millis(500);

/// The longest `statement_timeout` that PostgreSQL takes: its number of milliseconds is an `int4`.
const LONGEST_STATEMENT_TIMEOUT: Duration = Duration::from_millis(2_147_483_647);

/// How long opening one connection may take in all, authentication and set-up included; the driver's `connect_timeout`
/// covers only the socket. Each host that is named has its time: the last one may be the one that answers.
pub(super) fn patience(config: &Config) -> Duration {
    patience_for_each(config).saturating_mul(u32::try_from(config.hosts()).unwrap_or(u32::MAX))
}

/// How long one address may take, authentication and set-up included.
fn patience_for_each(config: &Config) -> Duration {
    config.get_connect_timeout().copied().unwrap_or_default().max(SHORTEST_PATIENCE)
}

/// The same while a request waits for so long: of several hosts each gets its share, unless it was said how long one may take.
fn share_for_each(config: &Config, wait: Duration) -> Duration {
    let most = patience_for_each(config);
    match u32::try_from(config.hosts()) {
        Ok(hosts) if hosts > 1 && !config.is_timed() => (wait / hosts).clamp(SHORTEST_SHARE, most),
        _ => most,
    }
}

/// Opens a session apart from the service's own, and with it what moves its bytes.
pub(super) async fn session(config: &Config) -> Result<(Client, Driving), Error> {
    let manner = Manner {
        is_shared: false,
        patience: patience_for_each(config),
        silent: &Silent::default(),
        reach: None,
        greeting: None,
    };
    let opened = hosts::open(config, &manner).await?;
    Ok((opened.client, opened.driving))
}

/// How the driver's connections are made for one worker's pool.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    config: Config,
    /// How long one host may take.
    patience: Duration,
    silent: Silent,
    driver: Driver,
    /// What is asked on each connection first, and set; nothing is set where the next statement may meet another session.
    greeting: String,
    reach: Arc<Reach>,
    /// Where connections are opened, if not where the configuration says.
    reads: Option<Arc<Fleet>>,
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
    /// The replica that it is at, if it is at one.
    pub(super) host: Option<Arc<ReadHost>>,
    /// Whether a pooler stands in between.
    pub(super) is_pooled: bool,
    config: Config,
}

impl Line {
    /// Ends the connection with all that is pending on it, and asks PostgreSQL to stop working on it.
    pub(super) fn end(&self, token: CancelToken) {
        if self.is_pooled {
            self.pipeline.keep_socket();
        }
        self.task.abort();
        let line = self.clone();
        tokio::task::spawn_local(async move {
            // PostgreSQL may be gone, and then there is nothing to cancel.
            let _ = tokio::time::timeout(CANCEL_TIMEOUT, line.cancel(token)).await;
            line.pipeline.let_socket_go();
        });
    }

    /// Asks to have what runs cancelled, and waits until the request was taken, or passed on: the connection ends with it.
    async fn cancel(&self, token: CancelToken) -> io::Result<()> {
        let mut socket = dial::dial(&self.address, &self.config).await?;
        socket.write_all(&pooler::cancel_request(token).await?).await?;
        socket.flush().await?;
        socket.read(&mut [0]).await.map(drop)
    }
}

/// The line of the connection opened last. Whoever asked the pool for a connection takes it in the same turn of the worker's only
/// thread in which the connection was opened, which makes "last" the one that was just asked for.
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
    /// For a pool whose requests wait for a connection for so long.
    pub(super) fn new(settings: &PoolSettings, reach: Arc<Reach>) -> Self {
        let is_cached = settings.statements == Statements::Cached;
        Self {
            patience: share_for_each(&settings.config, settings.wait),
            config: settings.config.clone(),
            silent: Silent::default(),
            driver: settings.driver,
            greeting: if is_cached {
                session_settings(settings.wait + STATEMENT_MARGIN)
            } else {
                pooler::WHO.to_owned()
            },
            reach,
            reads: settings.reads.clone(),
            newest: Newest::default(),
            ends: Ends::default(),
        }
    }

    pub(super) fn newest(&self) -> Newest {
        self.newest.clone()
    }

    pub(super) fn ends(&self) -> Ends {
        self.ends.clone()
    }

    /// Opens a connection to the first server that takes it, and sets its session up.
    async fn open(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let manner = Manner {
            is_shared: self.driver == Driver::Direct,
            patience: self.patience,
            silent: &self.silent,
            reach: Some(&self.reach),
            greeting: Some(&self.greeting),
        };
        let (opened, seat) = match &self.reads {
            None => (hosts::open(&self.config, &manner).await?, None),
            Some(fleet) => fleet.open_session(&manner).await.map(|(opened, seat)| (opened, Some(seat)))?,
        };
        let Opened { client, driving, pipeline, address, open, is_pooled } = opened;
        let ends = self.ends.clone();
        let host = seat.as_ref().map(|seat| Arc::clone(seat.host()));
        let config = host.as_ref().map_or(&self.config, |host| &host.config).clone();
        // A task for each kind, so that none asks at each of its turns which it is.
        let task = match driving {
            Driving::Plain(session) => spawn(drive(session, (open, seat), ends)),
            Driving::Secured(session) => spawn(drive(session, (open, seat), ends)),
        };
        let line = Line { task: task.abort_handle(), pipeline, address, host, is_pooled, config };
        self.newest.put(line);
        Ok((client, task))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "deadpool wants a handle to a Send task; this runtime has one thread"
)]
fn spawn(drive: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(drive)
}

/// Moves a session's bytes until its end, and says that it has come. What PostgreSQL says unasked is passed over.
///
/// The driver's own future does so too, but at each of its turns it moves a message, or the room for one.
async fn drive<S, T>(mut session: Connection<S, T>, counted: (Option<Open>, Option<Seat>), ends: Ends)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let _counted = counted;
    // Also where it is ended from outside, so that nobody counts it as open.
    let _ending = Ending(ends);
    let end = poll_fn(|cx| {
        loop {
            match session.poll_message(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(error)),
                Poll::Ready(None) => return Poll::Ready(None),
            }
        }
    })
    .await;
    if let Some(error) = end {
        tell_the_end(&error);
    }
}

/// Says that a connection has ended when it is dropped; whoever hears of it looks when the connection is gone.
struct Ending(Ends);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.0.notify_one();
    }
}

/// What every session is set to, in one statement; not by start-up options, which poolers refuse.
///
/// With a custom plan the UPDATE of many rows joins by hash over a sequential scan and locks rows in table order, and requests of
/// mixed size deadlock. A statement that outlives its request is ended by PostgreSQL itself, in case the cancel does not reach it; a
/// `statement_timeout` in the address's `options` wins, and so does a shorter one of the role or the database.
/// (<https://www.postgresql.org/docs/current/view-pg-settings.html>: `client` is the source of start-up options, the setting is
/// in milliseconds, and 0 is none.)
fn session_settings(statement_timeout: Duration) -> String {
    let most = statement_timeout.as_millis().min(LONGEST_STATEMENT_TIMEOUT.as_millis());
    format!(
        "{}, set_config('plan_cache_mode', 'force_generic_plan', false), \
                (SELECT set_config(name, '{most}', false) FROM pg_catalog.pg_settings \
                  WHERE name = 'statement_timeout' AND source <> 'client' AND setting::int8 NOT BETWEEN 1 AND {most})",
        pooler::WHO
    )
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

impl Connect for Connector {
    fn connect(
        &self,
        _: &tokio_postgres::Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(self.open())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        let driver: tokio_postgres::Config = text.parse().unwrap();
        driver.into()
    }

    #[test]
    fn every_host_that_is_named_gets_its_time() {
        for (url, seconds) in [
            ("host=a", 2),
            ("host=a,b,c", 6),
            ("host=a connect_timeout=1", 2),
            ("host=a,b connect_timeout=10", 20),
            ("hostaddr=192.0.2.1,192.0.2.2", 4),
        ] {
            assert_eq!(patience(&read(url)), Duration::from_secs(seconds), "{url}");
        }
    }

    #[test]
    fn of_several_hosts_each_gets_its_share_of_what_a_request_waits() {
        for (url, wait, millis) in [
            ("host=a", 3_000, 2_000),
            ("host=a,b", 3_000, 1_500),
            ("host=a,b,c", 3_000, 1_000),
            ("host=a,b", 60_000, 2_000),
            ("host=a,b", 100, 500),
            ("host=a,b connect_timeout=10", 3_000, 10_000),
        ] {
            let share = share_for_each(&read(url), Duration::from_millis(wait));
            assert_eq!(share, Duration::from_millis(millis), "{url}");
        }
    }
}
