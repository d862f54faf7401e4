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

/// The next line that is understood, as a value; none at the end. Others are another version's, whose question is left unanswered.
async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    loop {
        let part = from.fill_buf().await?;
        let end = part.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(part.len(), |at| at + 1);
        line.extend_from_slice(&part[..taken]);
        from.consume(taken);
        match (end, taken) {
            (Some(_), _) => match serde_json::from_slice(&line) {
                Ok(value) => return Ok(Some(value)),
                Err(error) => {
                    tracing::debug!("a line of the telemetry channel is not understood: {error}");
                    line.clear();
                }
            },
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use futures_util::future::{BoxFuture, FutureExt as _};

    use super::member::MOST_OPEN;
    use super::*;
    use crate::telemetry::listing::{Filter, Listing};
    use crate::telemetry::questions::Respondent;
    use crate::telemetry::snapshot::Process;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Counts how often it was looked at, and takes its size for its pid.
    #[derive(Default)]
    struct StandIn {
        looks: AtomicU32,
        size: AtomicU32,
    }

    impl Respondent for StandIn {
        fn snapshot(&self) -> Process {
            let index = self.looks.fetch_add(1, Ordering::Relaxed);
            Process { index, pid: self.size.load(Ordering::Relaxed), ..Process::default() }
        }

        fn list(&self, filter: Filter) -> BoxFuture<'_, Listing> {
            async move { Listing { count: u64::from(filter.rows), ..Listing::default() } }.boxed()
        }

        fn pause(&self, _: bool) {}

        fn resize(&self, total: u32) {
            self.size.store(total, Ordering::Relaxed);
        }
    }

    fn run<T>(what: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default());
        runtime.unwrap().block_on(what)
    }

    #[test]
    fn questions_are_answered_and_the_farewell_is_the_last_that_is_known() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let post = Post::start(theirs, Arc::new(StandIn::default())).unwrap();
        run(async {
            let (tell_end, ended) = tokio::sync::oneshot::channel();
            let tell_end = RefCell::new(Some(tell_end));
            let end = move |_: &Rc<Member>| tell_end.take().unwrap().send(()).unwrap();
            let member = Member::begin(ours, end).unwrap();
            let filter = Filter { rows: 7, ..Filter::default() };
            let listed = member.ask(Question::List(filter), PATIENCE).await;
            assert!(matches!(listed, Some(Reply::Listing(listing)) if listing.count == 7));
            assert_eq!(member.ask(Question::Resize { total: 9 }, PATIENCE).await, Some(Reply::Done));
            let looked = member.ask(Question::Snapshot, PATIENCE).await;
            assert!(
                matches!(looked, Some(Reply::Snapshot(process)) if (process.index, process.pid) == (1, 9))
            );
            post.say_farewell();
            ended.await.unwrap();
            assert_eq!(member.last().map(|process| process.index), Some(2), "hello, a look, and farewell");
            assert_eq!(member.ask(Question::Snapshot, PATIENCE).await, None, "it has ended");
        });
    }

    #[test]
    fn a_process_ends_though_nobody_reads_its_first_word() {
        let (_ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        // Until the buffer is full.
        while std::io::Write::write(&mut theirs, &[b' '; 4096]).is_ok() {}
        let post = Post::start(theirs, Arc::new(StandIn::default())).unwrap();
        let (tell, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            post.say_farewell();
            tell.send(()).unwrap();
        });
        ended.recv_timeout(PATIENCE).unwrap();
    }

    #[test]
    fn a_change_comes_to_a_silent_process_in_the_end_however_much_it_was_asked() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        run(async {
            let member = Member::begin(ours, |_| {}).unwrap();
            for _ in 0..MOST_OPEN {
                assert_eq!(member.ask(Question::List(Filter::default()), Duration::ZERO).await, None);
            }
            for total in [3, 9] {
                assert_eq!(member.ask(Question::Resize { total }, Duration::ZERO).await, None);
            }
            let stand_in = Arc::new(StandIn::default());
            let respondent: Arc<dyn Respondent> = Arc::<StandIn>::clone(&stand_in);
            let post = Post::start(theirs, respondent).unwrap();
            let taken = async {
                while stand_in.size.load(Ordering::Relaxed) != 9 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, taken).await.unwrap();
            post.say_farewell();
        });
    }

    #[test]
    fn a_process_that_owes_a_snapshot_is_not_asked_for_another_until_it_has_answered() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        run(async {
            let member = Member::begin(ours, |_| {}).unwrap();
            assert_eq!(member.ask(Question::Snapshot, Duration::ZERO).await, None);
            // At once, although it might wait.
            assert_eq!(member.ask(Question::Snapshot, Duration::MAX).await, None);
            let stand_in = Arc::new(StandIn::default());
            let respondent: Arc<dyn Respondent> = Arc::<StandIn>::clone(&stand_in);
            let post = Post::start(theirs, respondent).unwrap();
            let answered = async {
                while member.ask(Question::Snapshot, PATIENCE).await.is_none() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, answered).await.unwrap();
            assert_eq!(
                stand_in.looks.load(Ordering::Relaxed),
                3,
                "its first word, what it owed, and another"
            );
            post.say_farewell();
        });
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        let lines = b"{\"number\":1,\"question\":{\"dance\":3}}\nnonsense\n{\"number\":2,\"question\":\"snapshot\"}\n";
        run(async {
            let mut reader = &lines[..];
            let asked: Asked = receive(&mut reader).await.unwrap().unwrap();
            assert_eq!((asked.number, asked.question), (2, Question::Snapshot));
            assert!(receive::<Asked>(&mut reader).await.unwrap().is_none());
        });
    }
}
