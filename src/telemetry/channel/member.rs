//! The supervisor's side: what is known of one child, and the questions that it has not answered yet.
//!
//! **Invariant:** what a child said last is kept until it has ended, whether it answers or not.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::{Answered, Asked, UNASKED, receive, send};
use crate::telemetry::questions::{Question, Reply};
use crate::telemetry::snapshot::Process;

/// Questions that a child may leave unanswered before it is asked no more.
const MOST_OPEN: usize = 64;

/// One child.
#[derive(Debug)]
pub(in crate::telemetry) struct Member {
    last: RefCell<Option<Process>>,
    open: RefCell<HashMap<u64, oneshot::Sender<Reply>>>,
    next: Cell<u64>,
    questions: mpsc::Sender<Asked>,
}

impl Member {
    /// Begins to listen to a child, by a task that calls `end` when it has ended.
    pub(in crate::telemetry) fn begin(
        channel: UnixStream,
        end: impl FnOnce(&Rc<Self>) + 'static,
    ) -> io::Result<Rc<Self>> {
        channel.set_nonblocking(true)?;
        let (reader, writer) = tokio::net::UnixStream::from_std(channel)?.into_split();
        let (questions, asked) = mpsc::channel(MOST_OPEN);
        let member = Rc::new(Self {
            last: RefCell::default(),
            open: RefCell::default(),
            next: Cell::new(UNASKED + 1),
            questions,
        });
        let sending = tokio::task::spawn_local(pass_on(asked, writer));
        let heard = Rc::clone(&member);
        tokio::task::spawn_local(async move {
            if let Err(error) = heard.hear(reader).await {
                tracing::debug!("a process is heard of no more: {error}");
            }
            sending.abort();
            end(&heard);
        });
        Ok(member)
    }

    /// What it said of itself last; none before its first word.
    pub(in crate::telemetry) fn last(&self) -> Option<Process> {
        self.last.borrow().clone()
    }

    /// Asks it; none where it does not answer in time.
    pub(in crate::telemetry) async fn ask(&self, question: Question, patience: Duration) -> Option<Reply> {
        if self.open.borrow().len() >= MOST_OPEN {
            return None;
        }
        let number = self.next.replace(self.next.get() + 1);
        let (answer, answered) = oneshot::channel();
        self.open.borrow_mut().insert(number, answer);
        if self.questions.try_send(Asked { number, question }).is_err() {
            self.open.borrow_mut().remove(&number);
            return None;
        }
        // A late answer still closes its question.
        tokio::time::timeout(patience, answered).await.ok()?.ok()
    }

    async fn hear(&self, reader: OwnedReadHalf) -> io::Result<()> {
        let mut reader = BufReader::new(reader);
        while let Some(Answered { number, reply }) = receive(&mut reader).await? {
            if let Reply::Snapshot(process) = &reply {
                *self.last.borrow_mut() = Some(process.as_ref().clone());
            }
            if let Some(answer) = self.open.borrow_mut().remove(&number) {
                // Whoever asked may have given up.
                let _ = answer.send(reply);
            }
        }
        Ok(())
    }
}

async fn pass_on(mut questions: mpsc::Receiver<Asked>, mut writer: OwnedWriteHalf) -> io::Result<()> {
    while let Some(asked) = questions.recv().await {
        send(&mut writer, &asked).await?;
    }
    Ok(())
}
