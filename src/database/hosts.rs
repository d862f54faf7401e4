//! Opens a session at the first of the configuration's hosts that gives one, and knows which of them were silent.
//!
//! Hosts are tried in their order, each for its share of the time. One that gave no answer in it (its packets are swallowed, or its
//! PostgreSQL hangs) is tried after the others from then on, until it answers again, so that it costs each new session nothing.
//!
//! **Invariant:** a session that is handed out is on a server of the kind that was asked for, and was answered all that it was asked by then.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Connection, Error, NoTls};

use super::config::Config;
use super::dial::{self, Address, Candidate};
use super::error::Refusal;
use super::failing::{Several, failed};
use super::pooler;
use super::reach::{Open, Reach};
use super::standing::Standing;
use super::tls::{Handed, Secured};
use super::wire::{Pipeline, Socket, Wire};

/// A pooler lets a client in before it has a server for it.
const SILENT_AFTER_LOGIN: &str = "it let us in and did not answer in time; a pooler that stands in between has no server to spare \
                                  (PgBouncer: raise default_pool_size, or lower --pool-per-core or DATABASE_MAX_CONN), or does \
                                  not reach its own";

/// How a session is to be opened.
pub(super) struct Manner<'a> {
    /// Whether queries may be put past the driver.
    pub(super) is_shared: bool,
    /// How long each address may take.
    pub(super) patience: Duration,
    /// Who was silent.
    pub(super) silent: &'a Silent,
    /// Where sessions are counted, if they are.
    pub(super) reach: Option<&'a Arc<Reach>>,
    /// What is asked on it first, and set, if anything is.
    pub(super) greeting: Option<&'a str>,
}

/// A session.
pub(super) struct Opened {
    /// To ask with.
    pub(super) client: Client,
    /// What moves its bytes; nobody polls it yet.
    pub(super) driving: Driving,
    /// The way past the driver.
    pub(super) pipeline: Pipeline,
    /// Where the server was reached.
    pub(super) address: Address,
    /// Counts it, if sessions are counted.
    pub(super) open: Option<Open>,
    /// Whether a pooler stands in between, where that was asked.
    pub(super) is_pooled: bool,
}

/// The driver's half of a session, which moves its bytes; ends with it.
pub(super) enum Driving {
    /// Over the wire as it is.
    Plain(Connection<Wire, NoTlsStream>),
    /// Over a wire that is secured below.
    Secured(Connection<Wire, Secured<Wire>>),
}

impl Future for Driving {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Plain(connection) => Pin::new(connection).poll(cx),
            Self::Secured(connection) => Pin::new(connection).poll(cx),
        }
    }
}

impl Opened {
    /// Asks something before anybody else polls the session's other half.
    pub(super) async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        beside(&mut self.driving, question(&mut self.client)).await
    }
}

/// Waits for an answer while the session is driven. Its end, where it comes first, says more than that there is no answer.
async fn beside<T>(
    driving: &mut Driving,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        ended = driving => {
            ended?;
            let closed = io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection");
            Err(failed(closed, &Config::default()).await)
        }
        answer = answer => answer,
    }
}

/// The hosts that gave no answer when they were last asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Silent(Arc<Mutex<Vec<Candidate>>>);

impl Silent {
    /// The hosts with those that were silent behind the others.
    fn sort(&self, mut candidates: Vec<Candidate>) -> Vec<Candidate> {
        let silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        candidates.sort_by_key(|candidate| silent.contains(candidate));
        candidates
    }

    /// Whether a host of this configuration was silent.
    pub(super) fn has(&self, config: &Config) -> bool {
        let silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !silent.is_empty()
            && dial::candidates(config)
                .is_ok_and(|all| all.iter().any(|candidate| silent.contains(candidate)))
    }

    fn note(&self, candidate: &Candidate, is_silent: bool) {
        let mut silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        silent.retain(|other| other != candidate);
        if is_silent {
            silent.push(candidate.clone());
        }
    }
}

/// Why one host gave no session.
enum Failure {
    /// It was not reached, or is not what it should be; names it.
    Ours(io::Error),
    /// It refused.
    Driver(Address, Error),
}

impl Failure {
    /// Whether nothing came back in time.
    fn is_silence(&self) -> bool {
        matches!(self, Self::Ours(error) if error.kind() == io::ErrorKind::TimedOut)
    }

    /// What PostgreSQL refused with, if it did.
    fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Ours(_) => None,
            Self::Driver(_, error) => super::error::refusal(error),
        }
    }

    /// In one line, with the address.
    fn describe(&self) -> String {
        match self {
            Self::Ours(error) => error.to_string(),
            Self::Driver(address, error) => {
                let said = self.refusal().map(|refusal| refusal.said());
                format!("{address}: {}", said.unwrap_or_else(|| super::error::describe(error)))
            }
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Ours(error)
    }
}

/// Opens a session at the first host that gives one.
pub(super) async fn open(config: &Config, manner: &Manner<'_>) -> Result<Opened, Error> {
    let candidates = match dial::candidates(config) {
        Ok(candidates) => candidates,
        Err(error) => return Err(failed(error, config).await),
    };
    let mut failures = Vec::new();
    for standing in config.standing().rounds() {
        failures.clear();
        for candidate in manner.silent.sort(candidates.clone()) {
            match try_host(&candidate, config, *standing, manner).await {
                Ok(opened) => return Ok(opened),
                Err(reasons) => failures.extend(reasons),
            }
        }
    }
    Err(join(failures, config).await)
}

/// One host's failure as it is; of several each, in an order that stays the same.
async fn join(mut failures: Vec<Failure>, config: &Config) -> Error {
    match failures.pop() {
        None => failed(io::Error::other("no host has an address"), config).await,
        Some(Failure::Driver(_, error)) if failures.is_empty() => error,
        Some(last) => {
            failures.push(last);
            let reasons = failures.iter().map(Failure::describe).collect();
            let several = Several::new(reasons, failures.iter().filter_map(Failure::refusal));
            failed(io::Error::other(several), config).await
        }
    }
}

/// Tries the addresses of one host.
async fn try_host(
    candidate: &Candidate,
    config: &Config,
    standing: Standing,
    manner: &Manner<'_>,
) -> Result<Opened, Vec<Failure>> {
    let late = |what: &dyn std::fmt::Display| {
        Failure::Ours(io::Error::new(io::ErrorKind::TimedOut, format!("{what}: it did not answer in time")))
    };
    let addresses = match timeout(manner.patience, dial::resolve(candidate, config)).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(vec![error.into()]),
        Err(_) => return Err(vec![late(&"the look-up of a host")]),
    };
    let (mut failures, mut is_silent) = (Vec::new(), false);
    for address in addresses {
        let opened = timeout(manner.patience, open_at(&address, config, standing, manner)).await;
        let outcome = match opened.unwrap_or_else(|_| Err(late(&address))) {
            Ok(mut opened) => greet(&mut opened, manner).await.map(|()| opened),
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(opened) => {
                manner.silent.note(candidate, false);
                return Ok(opened);
            }
            Err(failure) => {
                is_silent |= failure.is_silence();
                failures.push(failure);
            }
        }
    }
    manner.silent.note(candidate, is_silent);
    Err(failures)
}

async fn open_at(
    address: &Address,
    config: &Config,
    standing: Standing,
    manner: &Manner<'_>,
) -> Result<Opened, Failure> {
    let socket = dial::dial(address, config).await?;
    let may_do_without = socket.is_secured() && config.tls().is_some_and(super::tls::Tls::is_optional);
    match begin(socket, address, config, standing, manner).await {
        // A server may have TLS and let this user in without it only (`hostnossl`): `prefer` goes on so, as libpq does.
        Err(Failure::Driver(_, error))
            if may_do_without && error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) =>
        {
            let socket = dial::dial_in_the_clear(address, config).await?;
            begin(socket, address, config, standing, manner).await
        }
        outcome => outcome,
    }
}

/// Logs in, and asks what the server is.
async fn begin(
    socket: Socket,
    address: &Address,
    config: &Config,
    standing: Standing,
    manner: &Manner<'_>,
) -> Result<Opened, Failure> {
    let refused = |error| Failure::Driver(address.clone(), error);
    let wire = Wire::new(socket, manner.is_shared);
    let (pipeline, driver) = (wire.pipeline(), config.driver(wire.is_secured()));
    let (client, driving) = if wire.is_secured() {
        let binding = Handed(wire.binding());
        let (client, connection) = driver.connect_raw(wire, binding).await.map_err(refused)?;
        (client, Driving::Secured(connection))
    } else {
        let (client, connection) = driver.connect_raw(wire, NoTls).await.map_err(refused)?;
        (client, Driving::Plain(connection))
    };
    if manner.is_shared {
        pipeline.share();
    }
    let open = manner.reach.map(Reach::count_open);
    let address = address.clone();
    let mut opened = Opened { client, driving, pipeline, address, open, is_pooled: false };
    if let Err(why) = opened.ask(async |client| standing.check(client).await).await.map_err(refused)? {
        let why = format!("{}: {why}", opened.address);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why).into());
    }
    Ok(opened)
}

/// Asks what is asked first, for as long as logging in may take: a host may let sessions in and answer nothing after that.
async fn greet(opened: &mut Opened, manner: &Manner<'_>) -> Result<(), Failure> {
    let Some(greeting) = manner.greeting else { return Ok(()) };
    let answer = opened.ask(async |client| pooler::stands_between(client, greeting).await);
    match timeout(manner.patience, answer).await {
        Ok(Ok(is_pooled)) => opened.is_pooled = is_pooled,
        Ok(Err(error)) => return Err(Failure::Driver(opened.address.clone(), error)),
        Err(_) => {
            let silent = format!("{}: {SILENT_AFTER_LOGIN}", opened.address);
            return Err(io::Error::new(io::ErrorKind::TimedOut, silent).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::stand_in::{self, StandIn};
    use super::*;

    #[test]
    fn a_host_that_lets_sessions_in_and_answers_nothing_after_that_is_silent_too() {
        stand_in::run(async {
            let (hangs, answers) = (StandIn::start(9, false).await, StandIn::start(9, true).await);
            let (hangs, answers) = (hangs.port, answers.port);
            let text = format!("host=127.0.0.1,127.0.0.1 port={hangs},{answers} user=me sslmode=disable");
            let (config, silent): (Config, _) = (text.parse().unwrap(), Silent::default());
            let patience = Duration::from_millis(300);
            let manner =
                Manner { is_shared: false, patience, silent: &silent, reach: None, greeting: Some("") };
            for most in [patience * 9, patience] {
                let opened = timeout(most, open(&config, &manner)).await.unwrap().unwrap_or_else(|error| {
                    unreachable!("the second host gives a session: {error}");
                });
                let port = match &opened.address {
                    Address::Tcp(address, _) => address.port(),
                    Address::Unix(_) => 0,
                };
                assert_eq!(port, answers);
            }
        });
    }

    #[test]
    fn a_host_that_was_silent_comes_last_until_it_answers() {
        let named = |name: &str| Candidate::Named(name.into(), 5432);
        let (silent, all) = (Silent::default(), vec![named("a"), named("b"), named("c")]);
        silent.note(&named("a"), true);
        assert_eq!(silent.sort(all.clone()), [named("b"), named("c"), named("a")]);
        silent.note(&named("a"), false);
        assert_eq!(silent.sort(all.clone()), all);
    }
}
