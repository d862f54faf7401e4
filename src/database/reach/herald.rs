//! Says each change of what is known of the database, as one line for the whole service.
//!
//! **Invariant:** what is said last is what holds, however fast it changes: lines are fewer than changes where those are many, and the
//! last one is never left out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Level;

use super::Reach;
use super::word::{State, Trouble, Word};

/// What changes again within this time is one change: connections end one after the other, and the last word on why is the best.
const SETTLE: Duration = Duration::from_millis(100);
/// That there are fewer connections than planned is said when it has lasted for so long: where some workers are served and others not,
/// PostgreSQL mostly is on its way out or in.
const DOUBT: Duration = Duration::from_secs(1);
/// Changes that are passed on are at least this far apart.
const APART: Duration = Duration::from_millis(50);
/// So many lines are said as their changes come; after that one is when [`REFILL`] has passed.
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(10);

/// Changes, one after the other; those that nobody waited for are passed over, but the last.
#[derive(Debug)]
pub(crate) struct News {
    word: watch::Receiver<Word>,
    rest_until: Option<Instant>,
}

impl News {
    pub(super) fn new(mut word: watch::Receiver<Word>) -> Self {
        word.mark_unchanged();
        Self { word, rest_until: None }
    }

    /// Waits for the next one. May be dropped half-way and called again.
    pub(crate) async fn next(&mut self) -> Word {
        if let Some(until) = self.rest_until {
            tokio::time::sleep_until(until).await;
        }
        changed(&mut self.word).await;
        self.rest_until = Some(Instant::now() + APART);
        self.latest()
    }

    /// Waits for a change, and until it holds; a loss that does not is given before what came after it.
    async fn settled(&mut self) -> Vec<Word> {
        changed(&mut self.word).await;
        let by = Instant::now() + DOUBT;
        let mut loss = None;
        loop {
            let now = self.latest();
            let (is_lost, is_short) =
                (matches!(now.state, State::Lost(_)), matches!(now.state, State::Short(_)));
            if is_lost {
                loss = Some(now.clone());
            }
            let patience = if is_short { DOUBT } else { SETTLE };
            let until = by.min(Instant::now() + patience);
            if tokio::time::timeout_at(until, changed(&mut self.word)).await.is_err() {
                return loss.filter(|_| !is_lost).into_iter().chain([now]).collect();
            }
        }
    }

    fn latest(&mut self) -> Word {
        self.word.borrow_and_update().clone()
    }
}

async fn changed(word: &mut watch::Receiver<Word>) {
    if word.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Logs changes for as long as it is polled. Where the database was not reached at the start, that was said already, with `trouble`.
pub(crate) async fn proclaim(reach: Arc<Reach>, trouble: Option<Trouble>) {
    let whole = Part { name: "", without: "database routes answer 503" };
    proclaim_part(whole, reach, trouble, || true).await;
}

/// How what is told of a part of the database is worded.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::database) struct Part {
    /// Stands before each line.
    pub(in crate::database) name: &'static str,
    /// What becomes of requests while it is not reached.
    pub(in crate::database) without: &'static str,
}

/// The same of one part of the database; what is so while that does not count is not said.
pub(in crate::database) async fn proclaim_part(
    part: Part,
    reach: Arc<Reach>,
    trouble: Option<Trouble>,
    counts: impl Fn() -> bool,
) {
    let mut news = reach.news();
    let mut said = Said::begin(part, trouble);
    let mut pace = Pace::begin(Instant::now());
    // What came before is a change as well.
    news.word.mark_changed();
    loop {
        let mut words = news.settled().await;
        let wait = pace.wait(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
            words = vec![news.latest()];
        }
        if !counts() {
            words.clear();
        }
        let lines: Vec<_> =
            words.into_iter().flat_map(|word| said.take(word, reach.take_greeting())).collect();
        let remark = if wait.is_zero() { "" } else { " (it changes often, and not each change is said)" };
        for (level, line) in lines {
            pace.spend(Instant::now());
            if level == Level::WARN {
                tracing::warn!("{}{line}{remark}", part.name);
            } else {
                tracing::info!("{}{line}{remark}", part.name);
            }
        }
    }
}

/// What was said last.
#[derive(Debug, Default)]
struct Said {
    part: Part,
    word: Word,
    /// It was not reached at the start, and the first contact will say that it is.
    awaits_greeting: bool,
}

impl Said {
    fn begin(part: Part, trouble: Option<Trouble>) -> Self {
        let awaits_greeting = trouble.is_some();
        let state = trouble.map_or(State::Unknown, State::Lost);
        Self { part, word: Word { state, refused: Vec::new() }, awaits_greeting }
    }

    /// What there is to say now.
    fn take(&mut self, mut now: Word, greeting: Option<String>) -> Vec<(Level, String)> {
        let mut lines = Vec::new();
        self.say_once(&mut now);
        if let Some(found) = greeting {
            lines.push((Level::INFO, format!("the database is reached; first contact: {found}")));
            self.awaits_greeting = false;
            if matches!(self.word.state, State::Lost(_)) {
                self.word.state = State::Reached;
            }
        }
        // That nobody knows is nothing to say, and what was said holds on.
        let will_be_greeted = self.awaits_greeting && now.state == State::Reached;
        if now.state != State::Unknown && !will_be_greeted {
            lines.extend(self.turn(&now.state));
            self.word.state = now.state;
        }
        for trouble in now.refused.iter().filter(|trouble| !self.word.refused.contains(trouble)) {
            let line = format!("PostgreSQL refuses queries, which are answered 503: {trouble}");
            lines.push((Level::WARN, line));
        }
        for trouble in self.word.refused.iter().filter(|trouble| !now.refused.contains(trouble)) {
            lines.push((Level::INFO, format!("PostgreSQL answers again what it refused: {trouble}")));
        }
        self.word.refused = now.refused;
        lines
    }

    /// What keeps connections from being opened and queries from being answered is said as one of the two.
    fn say_once(&mut self, now: &mut Word) {
        let Some(trouble) = now.state.trouble().filter(|trouble| now.refused.contains(trouble)).cloned()
        else {
            return;
        };
        if matches!(now.state, State::Short(_)) && now.state != self.word.state {
            now.state = State::Reached;
        } else {
            now.refused.retain(|other| *other != trouble);
            self.word.refused.retain(|other| *other != trouble);
        }
    }

    /// The line for a turn from the state that was said last to this one.
    fn turn(&self, now: &State) -> Option<(Level, String)> {
        if *now == self.word.state {
            return None;
        }
        match (now, &self.word.state) {
            (State::Short(trouble), _) => {
                let line = format!("serving on fewer database connections than planned: {trouble}");
                Some((Level::WARN, line))
            }
            (State::Lost(trouble), _) => {
                let without = self.part.without;
                let line = format!("the database is not reached: {trouble}; trying on, {without}");
                Some((Level::WARN, line))
            }
            (State::Reached, State::Lost(_)) => Some((Level::INFO, "the database is reached again".into())),
            (State::Reached, State::Short(_)) => {
                Some((Level::INFO, "the database takes more connections again".into()))
            }
            _ => None,
        }
    }
}

/// How often something may be said.
#[derive(Debug)]
struct Pace {
    left: u32,
    since: Instant,
}

impl Pace {
    fn begin(now: Instant) -> Self {
        Self { left: BURST, since: now }
    }

    /// How long to wait before the next may be said.
    fn wait(&mut self, now: Instant) -> Duration {
        while self.left < BURST && now.saturating_duration_since(self.since) >= REFILL {
            self.left += 1;
            self.since += REFILL;
        }
        if self.left > 0 { Duration::ZERO } else { (self.since + REFILL).saturating_duration_since(now) }
    }

    fn spend(&mut self, now: Instant) {
        // Whoever has waited for the next one takes it as it comes.
        if self.left == BURST || self.left == 0 {
            self.since = now;
        }
        self.left = self.left.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(state: State) -> Word {
        Word { state, refused: Vec::new() }
    }

    fn say(said: &mut Said, now: Word) -> Vec<String> {
        said.take(now, None).into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn a_loss_is_said_and_so_is_the_return_and_nothing_else() {
        let mut said = Said::default();
        assert!(say(&mut said, of(State::Reached)).is_empty());
        assert!(say(&mut said, of(State::Unknown)).is_empty());
        let lost = say(&mut said, of(State::Lost(Trouble::away("refused"))));
        assert!(lost.len() == 1 && lost[0].starts_with("the database is not reached: refused"), "{lost:?}");
        assert!(say(&mut said, of(State::Lost(Trouble::away("starting up")))).is_empty());
        let other = say(&mut said, of(State::Lost(Trouble::coded("28P01", "wrong password"))));
        assert!(other.len() == 1 && other[0].contains("wrong password"), "{other:?}");
        assert!(say(&mut said, of(State::Unknown)).is_empty());
        assert_eq!(say(&mut said, of(State::Reached)), ["the database is reached again"]);
    }

    #[test]
    fn the_first_contact_is_the_line_of_the_return() {
        for first_asked in [State::Unknown, State::Reached] {
            let mut said = Said::begin(Part::default(), Some(Trouble::away("refused")));
            assert!(say(&mut said, of(first_asked)).is_empty());
            let lines = said.take(Word::default(), Some("PostgreSQL 18".into()));
            assert_eq!(
                lines,
                [(Level::INFO, "the database is reached; first contact: PostgreSQL 18".into())]
            );
            assert!(say(&mut said, of(State::Reached)).is_empty());
            assert_eq!(say(&mut said, of(State::Lost(Trouble::away("refused")))).len(), 1);
        }
    }

    #[test]
    fn an_error_of_queries_is_said_as_it_begins_and_as_it_ends() {
        let missing = Trouble::coded("42P01", "no world");
        let refused = Word { state: State::Reached, refused: vec![missing] };
        let mut said = Said::default();
        assert_eq!(
            say(&mut said, refused.clone()),
            ["PostgreSQL refuses queries, which are answered 503: no world"]
        );
        assert!(say(&mut said, refused).is_empty());
        assert_eq!(
            say(&mut said, of(State::Reached)),
            ["PostgreSQL answers again what it refused: no world"]
        );
    }

    #[test]
    fn what_stops_connections_and_queries_alike_is_said_once() {
        let missing = || Trouble::coded("42P01", "no world");
        let of = |state, refused| Word { state, refused };
        let (short, lost) = (State::Short(missing()), State::Lost(missing()));
        for way in [
            [of(short.clone(), vec![]), of(short, vec![missing()])],
            [of(State::Reached, vec![missing()]), of(State::Short(missing()), vec![missing()])],
        ] {
            let mut said = Said::default();
            let lines: Vec<String> = way.into_iter().flat_map(|now| say(&mut said, now)).collect();
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert_eq!(say(&mut said, of(State::Reached, vec![])).len(), 1);
            let all_gone = say(&mut said, of(lost.clone(), vec![missing()]));
            assert!(all_gone.len() == 1 && all_gone[0].contains("is not reached"), "{all_gone:?}");
            assert_eq!(say(&mut said, of(State::Reached, vec![])), ["the database is reached again"]);
        }
    }

    #[test]
    fn many_changes_are_said_at_a_pace_and_after_a_rest_as_they_come() {
        let start = Instant::now();
        let mut pace = Pace::begin(start);
        for _ in 0..BURST {
            assert_eq!(pace.wait(start), Duration::ZERO);
            pace.spend(start);
        }
        assert_eq!(pace.wait(start), REFILL);
        let next = start + REFILL;
        assert_eq!(pace.wait(next), Duration::ZERO);
        pace.spend(next);
        assert!(pace.wait(next) > REFILL / 2);
        let rested = start + REFILL * (BURST + 2);
        assert_eq!((pace.wait(rested), pace.left), (Duration::ZERO, BURST));
    }
}
