//! The way of questions between the admin side in the supervisor and one child: a pair of Unix sockets of its own.
//!
//! Lines of JSON: [`Asked`] down, [`Answered`] up, with numbers that belong together. A child's first line, unasked and numbered 0, is
//! its first snapshot; so is its last, before it ends, and what was counted in between is in it. [`post`] is the child's side,
//! [`member`] the supervisor's.
//!
//! **Invariant:** neither side ever waits on the other for good, and no line is longer than [`MOST_LINE`].

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::questions::{Question, Reply};

mod member;
mod post;

pub(super) use member::Member;
pub use post::Post;

/// The longest line, in bytes: the snapshot of a process with as many workers as there may be is a third of it.
const MOST_LINE: usize = 64 * 1024 * 1024;
/// The number of what was not asked for.
const UNASKED: u64 = 0;

/// A question on its way.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    number: u64,
    question: Question,
}

/// An answer on its way.
#[derive(Debug, Serialize, Deserialize)]
struct Answered {
    number: u64,
    reply: Reply,
}

/// The next line as a value; none at the end.
async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    loop {
        let part = from.fill_buf().await?;
        let end = part.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(part.len(), |at| at + 1);
        line.extend_from_slice(&part[..taken]);
        from.consume(taken);
        match (end, taken) {
            (Some(_), _) => return Ok(Some(serde_json::from_slice(&line)?)),
            (None, 0) => return Ok(None),
            _ if line.len() > MOST_LINE => return Err(io::Error::other("a line without end")),
            _ => {}
        }
    }
}

/// Sends a value as a line.
async fn send(to: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line).await
}
