//! The supervisor's side: what is known of one child, and the questions that it has not answered yet.
//!
//! **Invariant:** what a child said last is kept until it has ended, whether it answers or not; and a change comes to it in the end, the
//! last of its kind, however many questions are open.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::mem::discriminant;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::{Answered, Asked, UNASKED, receive, send};
use crate::telemetry::questions::{Question, Reply};
use crate::telemetry::snapshot::Process;

/// Questions that a child may leave unanswered before it is asked no more.
pub(super) const MOST_OPEN: usize = 64;

/// One child.
#[derive(Debug)]
pub(in crate::telemetry) struct Member {
    last: RefCell<Option<Process>>,
    open: RefCell<HashMap<u64, oneshot::Sender<Reply>>>,
    next: Cell<u64>,
    /// The number of a snapshot that did not come in time, and is still awaited.
    overdue: Cell<Option<u64>>,
    /// Changes that it was not told of, for there were too many questions; no two of a kind.
    untold: RefCell<Vec<Question>>,
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
            overdue: Cell::new(None),
            untold: RefCell::default(),
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

    /// Asks it; none where it does not answer in time, or owes a snapshot already. A change comes to it later then.
    pub(in crate::telemetry) async fn ask(&self, question: Question, patience: Duration) -> Option<Reply> {
        let is_snapshot = question == Question::Snapshot;
        if is_change(&question) {
            // The last one holds.
            self.untold.borrow_mut().retain(|other| discriminant(other) != discriminant(&question));
        } else if self.overdue.get().is_some() {
            return None;
        }
        let (number, answered) = match self.put(question) {
            Ok(asked) => asked,
            Err(question) => {
                if is_change(&question) {
                    self.untold.borrow_mut().push(question);
                }
                return None;
            }
        };
        // A late answer still closes its question.
        let Ok(answered) = tokio::time::timeout(patience, answered).await else {
            if is_snapshot {
                self.overdue.set(Some(number));
            }
            return None;
        };
        answered.ok()
    }

    /// Sends a question; gives it back where too many are open, or the child has ended.
    fn put(&self, question: Question) -> Result<(u64, oneshot::Receiver<Reply>), Question> {
        if self.open.borrow().len() >= MOST_OPEN {
            return Err(question);
        }
        let number = self.next.replace(self.next.get() + 1);
        let (answer, answered) = oneshot::channel();
        self.open.borrow_mut().insert(number, answer);
        if let Err(TrySendError::Full(asked) | TrySendError::Closed(asked)) =
            self.questions.try_send(Asked { number, question })
        {
            self.open.borrow_mut().remove(&number);
            return Err(asked.question);
        }
        Ok((number, answered))
    }

    /// Tells it of the changes that it was not told of, as far as there is room.
    fn catch_up(&self) {
        let mut untold = self.untold.borrow_mut();
        while let Some(change) = untold.pop() {
            if let Err(change) = self.put(change) {
                untold.push(change);
                break;
            }
        }
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
            if self.overdue.get() == Some(number) {
                self.overdue.set(None);
            }
            self.catch_up();
        }
        Ok(())
    }
}

fn is_change(question: &Question) -> bool {
    matches!(question, Question::Pause(_) | Question::Resize { .. })
}

async fn pass_on(mut questions: mpsc::Receiver<Asked>, mut writer: OwnedWriteHalf) -> io::Result<()> {
    while let Some(asked) = questions.recv().await {
        send(&mut writer, &asked).await?;
    }
    Ok(())
}
