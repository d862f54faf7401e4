//! Asks one server again and again what it is and where it stands, on a session of its own.
//!
//! **Invariant:** each question has [`PATIENCE`]; whoever does not answer two of them has ended, and is knocked at again until the
//! caller has enough.

use std::ops::ControlFlow;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::super::config::Config;
use super::super::dial::Address;
use super::super::error::describe;
use super::super::hosts::{self, Manner, Opened, Silent};
use super::lag::Position;

/// Time between two questions.
pub(super) const EVERY: Duration = Duration::from_millis(250);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(600);
/// Answers that may stay away, one after the other.
const MOST_MISSED: u32 = 1;
/// How long one address may take to let a session in.
const OPEN_PATIENCE: Duration = Duration::from_secs(1);

/// Functions that every role may execute (PostgreSQL manual, "Recovery Information Functions" and "Backup Control Functions"). A standby
/// that has replayed nothing yet gives no position.
const QUESTION: &str = "
    SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only'),
           CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                ELSE pg_catalog.pg_current_wal_lsn() END";

/// What a server said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// Whether it follows another.
    pub(super) is_standby: bool,
    /// Whether its sessions take no writes.
    pub(super) is_read_only: bool,
    /// What a primary has written, or a standby replayed.
    pub(super) position: Option<Position>,
}

/// What came of asking.
pub(super) enum Event<'a> {
    /// It answered a question that was asked at this moment.
    Answer(Instant, Answer, &'a Address),
    /// It is not there, or not any more; says why.
    Ended(String),
}

/// How to go on.
pub(super) enum Next {
    /// Ask again.
    Ask,
    /// This server is not the one: look for another.
    Leave(&'static str),
}

/// Asks until the caller has enough.
pub(super) async fn follow(config: &Config, mut note: impl FnMut(Event<'_>) -> ControlFlow<(), Next>) {
    let silent = Silent::default();
    loop {
        let (silent, reach, greeting) = (&silent, None, None);
        let manner = Manner { is_shared: false, patience: OPEN_PATIENCE, silent, reach, greeting };
        let why = match hosts::open(config, &manner).await {
            Ok(opened) => match keep_asking(opened, &mut note).await {
                ControlFlow::Continue(why) => why,
                ControlFlow::Break(()) => return,
            },
            Err(error) => describe(&error),
        };
        if note(Event::Ended(why)).is_break() {
            return;
        }
        sleep(EVERY).await;
    }
}

/// Asks on one session; says why it ended.
async fn keep_asking(
    opened: Opened,
    note: &mut impl FnMut(Event<'_>) -> ControlFlow<(), Next>,
) -> ControlFlow<(), String> {
    let Opened { client, driving, address, .. } = opened;
    let mut driving = pin!(driving);
    let mut missed = 0;
    loop {
        let asked = Instant::now();
        let answer = tokio::select! {
            biased;
            ended = &mut driving => return ControlFlow::Continue(why(ended)),
            answer = timeout(PATIENCE, ask(&client)) => answer,
        };
        match answer {
            Ok(Ok(Some(answer))) => {
                missed = 0;
                if let Next::Leave(why) = note(Event::Answer(asked, answer, &address))? {
                    return ControlFlow::Continue(why.into());
                }
            }
            Ok(Ok(None)) => return ControlFlow::Continue("it gave an odd answer".into()),
            Ok(Err(error)) => return ControlFlow::Continue(describe(&error)),
            Err(_) if missed < MOST_MISSED => missed += 1,
            Err(_) => return ControlFlow::Continue("it did not answer in time".into()),
        }
        tokio::select! {
            ended = &mut driving => return ControlFlow::Continue(why(ended)),
            () = sleep(EVERY) => {}
        }
    }
}

fn why(ended: Result<(), Error>) -> String {
    ended.map_or_else(|error| describe(&error), |()| "it closed the connection".into())
}

async fn ask(client: &Client) -> Result<Option<Answer>, Error> {
    let answer = client.simple_query(QUESTION).await?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(Answer {
            is_standby: row.get(0)? == "t",
            is_read_only: row.get(1)? == "on",
            position: row.get(2).and_then(Position::read),
        }),
        _ => None,
    }))
}
