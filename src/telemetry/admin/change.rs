//! Changes to a running service: its pool's size, and whether requests for the database are held back.
//!
//! **Invariant:** a size is judged by whoever owns the plan before any worker hears of it.

use std::time::Duration;

use hyper::{Response, StatusCode};
use tokio::sync::oneshot;

use super::office::Office;
use super::query;
use super::reply::{Whole, say};
use crate::telemetry::questions::Question;

/// How long the judge may take, who may have to ask PostgreSQL.
const JUDGED_WITHIN: Duration = Duration::from_secs(3);

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
pub(super) async fn resize(office: &Office, text: &str) -> Response<Whole> {
    let wish = match read(text) {
        Ok(wish) => wish,
        Err(why) => return say(StatusCode::BAD_REQUEST, why),
    };
    let (answer, judged) = oneshot::channel();
    if office.changes.try_send(Change { wish, answer }).is_err() {
        return say(StatusCode::CONFLICT, "the service is stopping, or another change is under way");
    }
    match tokio::time::timeout(JUDGED_WITHIN, judged).await {
        Ok(Ok(Ok(resized))) => {
            let silent = office.processes.pass_on(resized.total).await;
            say(StatusCode::OK, format_args!("{}{}", resized.sum, except(silent)))
        }
        Ok(Ok(Err(Refusal::Invalid(why)))) => say(StatusCode::BAD_REQUEST, why),
        Ok(Ok(Err(Refusal::Conflict(why)))) => say(StatusCode::CONFLICT, why),
        Ok(Err(_)) => say(StatusCode::CONFLICT, "the service is stopping"),
        Err(_) => say(StatusCode::CONFLICT, "nobody could judge the new size in time; ask again"),
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
    use super::*;

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
