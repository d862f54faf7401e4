//! The child's side: a thread of its own answers what the supervisor's admin side asks.
//!
//! **Invariant:** it answers while every worker is busy, and its end holds the process up for no longer than [`FAREWELL`].

use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Mutex, oneshot};

use super::{Answered, Asked, UNASKED, receive, send};
use crate::telemetry::questions::{Question, Respondent, put};

/// How long the last snapshot may take to be sent.
const FAREWELL: Duration = Duration::from_secs(1);

/// The thread that answers, until it is told that the process is ending.
#[derive(Debug)]
pub struct Post {
    thread: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

impl Post {
    /// Starts it at this end of the channel.
    pub fn start(channel: UnixStream, respondent: Arc<dyn Respondent>) -> io::Result<Self> {
        channel.set_nonblocking(true)?;
        let (end, ended) = oneshot::channel();
        let run = move || {
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            if let Err(error) = runtime.and_then(|runtime| runtime.block_on(keep(channel, respondent, ended)))
            {
                tracing::debug!("the admin side is told nothing any more: {error}");
            }
        };
        let thread = std::thread::Builder::new().name("telemetry".into()).spawn(run)?;
        Ok(Self { thread, end })
    }

    /// Sends the last snapshot; all that counted has ended.
    pub fn say_farewell(self) {
        // It has ended already where the supervisor has.
        let _ = self.end.send(());
        // A panic has told of itself.
        let _ = self.thread.join();
    }
}

async fn keep(
    channel: UnixStream,
    respondent: Arc<dyn Respondent>,
    ended: oneshot::Receiver<()>,
) -> io::Result<()> {
    let (reader, writer) = tokio::net::UnixStream::from_std(channel)?.into_split();
    let writer = Rc::new(Mutex::new(writer));
    // Tasks of their own, so that nobody waits on a word that nobody reads: the farewell waits for its turn within its own limit.
    let say = |question, number| {
        let (respondent, writer) = (Arc::clone(&respondent), Rc::clone(&writer));
        tokio::task::spawn_local(async move { answer(question, number, &respondent, &writer).await });
    };
    say(Question::Snapshot, UNASKED);
    tokio::select! {
        // Nobody waits for a farewell where the sender went without a word.
        Ok(()) = ended => {
            let last = answer(Question::Snapshot, UNASKED, &respondent, &writer);
            tokio::time::timeout(FAREWELL, last).await.unwrap_or_else(|late| Err(late.into()))
        }
        done = hear(reader, say) => done,
    }
}

/// Answers what comes, until the supervisor ends. It has no more questions open than it may, and so there are no more tasks.
async fn hear(reader: OwnedReadHalf, say: impl Fn(Question, u64)) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    while let Some(Asked { number, question }) = receive(&mut reader).await? {
        say(question, number);
    }
    Ok(())
}

async fn answer(
    question: Question,
    number: u64,
    respondent: &Arc<dyn Respondent>,
    writer: &Rc<Mutex<OwnedWriteHalf>>,
) -> io::Result<()> {
    let reply = put(question, respondent.as_ref()).await;
    send(&mut *writer.lock().await, &Answered { number, reply }).await
}
