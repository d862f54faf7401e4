//! Changes to a running service: its pool's size, and whether requests for the database are held back.
//!
//! **Invariant:** a size is judged by whoever owns the plan before any worker hears of it, and one that is in force in the plan comes
//! to the workers, whether or not whoever wished for it still waits.

use std::rc::Rc;
use std::time::Duration;

use hyper::{Response, StatusCode};
use tokio::sync::oneshot;

use super::office::Office;
use super::query;
use super::reply::{Whole, say};
use crate::telemetry::questions::Question;

/// How long whoever wishes for a size waits for the judge, who may have to ask PostgreSQL, and for the processes to take it.
const DONE_WITHIN: Duration = Duration::from_secs(4);

/// Another size for the pool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Resize {
    /// So many database connections for each core.
    PerCore(f64),
    /// So many over all workers.
    Total(u32),
}

/// A wish that waits to be judged.
#[derive(Debug)]
pub struct Change {
    /// What is wished for.
    pub wish: Resize,
    /// Database connections that the processes have open at the primary, by what they said last.
    pub ours: u32,
    /// Where to say what became of it.
    pub answer: oneshot::Sender<Result<Resized, Refusal>>,
}

/// A size that is in force in the plan from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resized {
    /// Database connections over all workers.
    pub total: u32,
    /// The sum, for people.
    pub sum: String,
}

/// Why a size is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It makes no sense whatever the service is doing.
    Invalid(String),
    /// There is no room for it, or something else is under way.
    Conflict(String),
}

/// Changes the pool's size, if that is found well.
pub(super) async fn resize(office: &Rc<Office>, text: &str) -> Response<Whole> {
    let wish = match read(text) {
        Ok(wish) => wish,
        Err(why) => return say(StatusCode::BAD_REQUEST, why),
    };
    let (answer, judged) = oneshot::channel();
    let ours = office.sample().await.processes.iter().map(|process| process.primary_open).sum();
    if office.changes.try_send(Change { wish, ours, answer }).is_err() {
        return say(StatusCode::CONFLICT, "the service is stopping, or another change is under way");
    }
    // A task of its own: a client that hangs up must not part the processes' sizes from the plan's.
    let done = tokio::task::spawn_local(carry_out(Rc::clone(office), judged));
    match tokio::time::timeout(DONE_WITHIN, done).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => say(StatusCode::INTERNAL_SERVER_ERROR, error),
        Err(_) => say(
            StatusCode::CONFLICT,
            "the new size is not judged yet, and may still be taken: `plimsoll status` shows what is in force",
        ),
    }
}

/// Waits for the judge, and passes the size that is in force by then on to the processes.
async fn carry_out(
    office: Rc<Office>,
    judged: oneshot::Receiver<Result<Resized, Refusal>>,
) -> Response<Whole> {
    match judged.await {
        Ok(Ok(resized)) => {
            let silent = office.processes.pass_on(resized.total).await;
            say(StatusCode::OK, format_args!("{}{}", resized.sum, except(silent)))
        }
        Ok(Err(Refusal::Invalid(why))) => say(StatusCode::BAD_REQUEST, why),
        Ok(Err(Refusal::Conflict(why))) => say(StatusCode::CONFLICT, why),
        Err(_) => say(StatusCode::CONFLICT, "the service is stopping"),
    }
}

/// Holds requests for the database back, or lets them go on.
pub(super) async fn pause(office: &Office, paused: bool) -> Response<Whole> {
    let silent = office.processes.tell(Question::Pause(paused)).await;
    let done = if paused {
        "requests for the database are held back until /pool/resume"
    } else {
        "requests for the database go on"
    };
    tracing::info!("pool: {done}");
    say(StatusCode::OK, format_args!("{done}{}", except(silent)))
}

fn except(silent: usize) -> String {
    match silent {
        0 => String::new(),
        1 => "; 1 process has not answered".into(),
        _ => format!("; {silent} processes have not answered"),
    }
}

/// Reads `per_core=5` or `total=12`.
fn read(text: &str) -> Result<Resize, String> {
    const HOW: &str =
        "say ?per_core=N, a number of database connections for each core, or ?total=N, over all workers";
    let mut pairs = query::pairs(text);
    match (pairs.next(), pairs.next()) {
        (Some(("per_core", number)), None) => match number.parse() {
            Ok(number) if (f64::MIN_POSITIVE..=1_000.0).contains(&number) => Ok(Resize::PerCore(number)),
            _ => Err(format!("per_core is a number above 0 and up to 1000, not `{number}`")),
        },
        (Some(("total", number)), None) => match number.parse() {
            Ok(number) if number > 0 => Ok(Resize::Total(number)),
            _ => Err(format!("total is a whole number above 0, not `{number}`")),
        },
        _ => Err(HOW.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use futures_util::future::{BoxFuture, FutureExt as _};
    use tokio::sync::{mpsc, watch};

    use super::super::changes;
    use super::super::crew::{Ground, Processes};
    use super::*;
    use crate::telemetry::channel::Post;
    use crate::telemetry::listing::{Filter, Listing};
    use crate::telemetry::questions::Respondent;
    use crate::telemetry::snapshot::Process;
    use crate::telemetry::status::Service;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Tells the sizes that it hears of.
    struct Listener(mpsc::UnboundedSender<u32>);

    impl Respondent for Listener {
        fn snapshot(&self) -> Process {
            Process::default()
        }

        fn list(&self, _: Filter) -> BoxFuture<'_, Listing> {
            async { Listing::default() }.boxed()
        }

        fn pause(&self, _: bool) {}

        fn resize(&self, total: u32) {
            self.0.send(total).unwrap();
        }
    }

    fn service() -> Service {
        Service {
            version: String::new(),
            pid: 1,
            started_unix: 0,
            processes: 2,
            workers: 1,
            accept: String::new(),
            listening: Vec::new(),
            cores: 2,
            dispatch: String::new(),
            connections_total: 8,
            automatic: false,
        }
    }

    #[test]
    fn a_size_that_was_taken_comes_to_the_processes_though_the_client_hung_up() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default());
        runtime.unwrap().block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let (tell, mut heard) = mpsc::unbounded_channel();
            let post = Post::start(theirs, Arc::new(Listener(tell))).unwrap();
            let (newcomers, crew) = mpsc::unbounded_channel();
            newcomers.send(ours).unwrap();
            let (_shown, service) = watch::channel(service());
            let (judge, mut wishes) = changes();
            let processes = Processes::new(Ground::Several(crew));
            let office =
                Rc::new(Office::new(service, processes, judge, Arc::new(|| async { Ok(()) }.boxed())));
            let change = tokio::select! {
                response = resize(&office, "total=12") => panic!("nobody has judged it: {}", response.status()),
                change = wishes.recv() => change.unwrap(),
            };
            // The request is gone by now, and its wish is taken all the same.
            change.answer.send(Ok(Resized { total: 12, sum: String::new() })).unwrap();
            let size = tokio::time::timeout(PATIENCE, heard.recv()).await;
            assert_eq!(size.unwrap(), Some(12));
            post.say_farewell();
        });
    }

    #[test]
    fn a_size_is_one_number_of_one_kind() {
        assert_eq!(read("per_core=2.5"), Ok(Resize::PerCore(2.5)));
        assert_eq!(read("total=12"), Ok(Resize::Total(12)));
        for text in
            ["", "per_core=5&total=12", "size=5", "per_core=0", "per_core=NaN", "per_core=1001", "total=-1"]
        {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
