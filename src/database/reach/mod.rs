//! Whether the database is reached, and what it refuses: known over all workers of a process, or over all processes of a service.
//!
//! Each worker is a [`Member`] and says what its attempts and queries meet with; a supervisor hears the sum of each process instead.
//! What all of them make together is said by the [`herald`], or passed on to the supervisor, as [`News`].
//!
//! **Invariant:** one log line for each change of the whole service's state, however many workers, processes and attempts there are,
//! and a request that goes well while nothing is refused looks at one flag.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

mod herald;
mod word;

pub(crate) use herald::{News, proclaim};
pub(super) use herald::{Part, proclaim_part};
pub(crate) use word::{Trouble, Word};

use super::lanes::Work;
use word::State;

/// Errors told apart at the most; a service has four statements, and more kinds of error than this say nothing more.
const MOST_REFUSED: usize = 8;
/// For so long no query may have met with an error before one that goes well ends it: where one connection is refused what another is
/// given, they would take turns.
const FIRM: Duration = Duration::from_secs(1);

/// What is known of the database.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    board: Mutex<Board>,
    /// What all make together.
    sum: watch::Sender<Word>,
    is_refused: AtomicBool,
    open: AtomicU32,
}

#[derive(Debug, Default)]
struct Board {
    members: Vec<(u64, Word)>,
    next_member: u64,
    refused: Vec<Refused>,
    /// Who was found at the first contact, if that is to be said.
    greeting: Option<String>,
}

/// An error that queries of this process meet with.
#[derive(Debug)]
struct Refused {
    trouble: Trouble,
    /// A bit for each [`Work`].
    works: u8,
    last: Instant,
}

/// Stands for one open database connection of this process; counted out when dropped.
#[derive(Debug)]
pub(super) struct Open(Arc<Reach>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reach {
    /// Another worker's place on the board.
    pub(super) fn member(self: &Arc<Self>) -> Member {
        let key = self.change(|board| {
            board.next_member += 1;
            board.next_member
        });
        Member { reach: Arc::clone(self), key }
    }

    /// A query met with an error of the database; `trouble` words it, if it is the first.
    pub(super) fn refuse(&self, work: Work, trouble: Trouble) {
        self.change(|board| board.refuse(work, trouble, Instant::now()));
    }

    /// Whether any query met with an error that none was answered after.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }

    /// A query was answered while some are refused.
    pub(super) fn answer(&self, work: Work) {
        self.change(|board| board.answer(work, Instant::now()));
    }

    /// Takes note of what one of several processes says. It says each change, and goes on trying by itself while anything is amiss, so
    /// that what it said last holds, whatever another process has reached meanwhile.
    pub(crate) fn hear(&self, process: u64, word: Word) {
        self.change(|board| board.keep(process, word));
    }

    /// One of several processes has ended.
    pub(crate) fn forget(&self, process: u64) {
        self.change(|board| board.members.retain(|(key, _)| *key != process));
    }

    /// The database, which was not reached at the start, was found to be this one.
    pub(crate) fn greet(&self, found: String) {
        self.change(|board| {
            board.outdate();
            board.greeting = Some(found);
        });
        // To be said also where nobody has asked for a connection yet.
        self.sum.send_modify(|_| {});
    }

    /// Counts an open database connection in.
    pub(super) fn count_open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// Database connections that this process has open.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether the database is reached as far as is known, and what is amiss with it.
    pub(crate) fn tell(&self) -> (bool, Option<String>) {
        self.sum.borrow().tell()
    }

    /// Each change of what all make together.
    pub(crate) fn news(&self) -> News {
        News::new(self.sum.subscribe())
    }

    fn take_greeting(&self) -> Option<String> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).greeting.take()
    }

    /// Changes the board, and tells what all make together where that is another.
    fn change<T>(&self, act: impl FnOnce(&mut Board) -> T) -> T {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = act(&mut board);
        let sum = board.sum();
        self.is_refused.store(!board.refused.is_empty(), Ordering::Relaxed);
        self.sum.send_if_modified(|word| {
            let differs = *word != sum;
            if differs {
                *word = sum;
            }
            differs
        });
        outcome
    }
}

impl Board {
    fn sum(&self) -> Word {
        let words = || self.members.iter().map(|(_, word)| word);
        let mut refused: Vec<Trouble> = Vec::new();
        let theirs = words().flat_map(|word| &word.refused);
        for trouble in self.refused.iter().map(|one| &one.trouble).chain(theirs) {
            if refused.len() < MOST_REFUSED && !refused.contains(trouble) {
                refused.push(trouble.clone());
            }
        }
        Word { state: State::sum(words().map(|word| &word.state)), refused }
    }

    /// A member says this now. Where it reached the database just now, that others did not is known no longer.
    fn put(&mut self, key: u64, word: Word) {
        let before = self.members.iter().find(|(other, _)| *other == key);
        let before = before.map(|(_, known)| known.state.clone());
        if word.state == State::Reached && before != Some(State::Reached) {
            self.outdate();
            // What kept connections from being opened is mended, and no query meets with it any more.
            let mended = before.as_ref().and_then(State::trouble);
            self.refused.retain(|one| Some(&one.trouble) != mended);
        }
        self.keep(key, word);
    }

    fn keep(&mut self, key: u64, word: Word) {
        match self.members.iter_mut().find(|(other, _)| *other == key) {
            Some((_, known)) => *known = word,
            None => self.members.push((key, word)),
        }
    }

    fn outdate(&mut self) {
        for (_, word) in self.members.iter_mut().filter(|(_, word)| word.state.is_outdated_by_success()) {
            word.state = State::Unknown;
        }
    }

    /// The last connection of this member has ended.
    fn end(&mut self, key: u64) {
        for (_, word) in self.members.iter_mut().filter(|(other, _)| *other == key) {
            if matches!(word.state, State::Reached | State::Short(_)) {
                word.state = State::Unknown;
            }
        }
    }

    fn refuse(&mut self, work: Work, trouble: Trouble, now: Instant) {
        let works = work as u8;
        if let Some(one) = self.refused.iter_mut().find(|one| one.trouble == trouble) {
            (one.works, one.last) = (one.works | works, now);
        } else if self.refused.len() < MOST_REFUSED {
            self.refused.push(Refused { trouble, works, last: now });
        }
    }

    fn answer(&mut self, work: Work, now: Instant) {
        let is_mended = |one: &mut Refused| {
            one.works & work as u8 != 0 && now.saturating_duration_since(one.last) >= FIRM
        };
        for mended in self.refused.extract_if(.., is_mended) {
            // It keeps no connection from being opened any more, as will be found at the next attempt.
            let states = self.members.iter_mut().map(|(_, word)| &mut word.state);
            for state in states.filter(|state| state.trouble() == Some(&mended.trouble)) {
                *state = State::Reached;
            }
        }
    }
}

/// One worker, as it says what its attempts at connections meet with.
#[derive(Debug)]
pub(super) struct Member {
    reach: Arc<Reach>,
    key: u64,
}

impl Member {
    /// A connection was opened, and all that are wanted are there or can be.
    pub(super) fn reached(&self) {
        self.put(State::Reached);
    }

    /// No connection is open, and the last attempt failed.
    pub(super) fn lost(&self, trouble: Trouble) {
        self.put(State::Lost(trouble));
    }

    /// Some connections are open, and an attempt at one more failed.
    pub(super) fn short(&self, trouble: Trouble) {
        self.put(State::Short(trouble));
    }

    /// The last open connection has ended.
    pub(super) fn end(&self) {
        self.reach.change(|board| board.end(self.key));
    }

    fn put(&self, state: State) {
        self.reach.change(|board| board.put(self.key, Word { state, refused: Vec::new() }));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.reach.forget(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> Trouble {
        Trouble::away("refused")
    }

    #[test]
    fn what_every_attempt_says_again_is_one_change() {
        let reach = Arc::new(Reach::default());
        let (one, other) = (reach.member(), reach.member());
        let mut seen = reach.sum.subscribe();
        let mut changes = |act: &dyn Fn()| {
            act();
            let changed = seen.has_changed().unwrap();
            seen.mark_unchanged();
            changed
        };
        assert!(changes(&|| one.lost(away())));
        assert!(!changes(&|| one.lost(Trouble::away("starting up"))));
        assert!(!changes(&|| other.lost(away())));
        assert!(changes(&|| one.reached()), "that the other has not is outdated");
        assert!(!changes(&|| other.reached()));
        assert_eq!(reach.tell(), (true, None));
        assert!(changes(&|| other.short(Trouble::coded("53300", "full"))));
        assert!(!changes(&|| one.reached()), "the other still gets none");
        assert_eq!(reach.tell(), (true, Some("full".to_owned())));
        drop(other);
        assert_eq!(reach.tell(), (true, None));
    }

    #[test]
    fn a_process_that_reaches_the_database_says_nothing_of_one_that_does_not() {
        let reach = Reach::default();
        let word = |state| Word { state, refused: Vec::new() };
        reach.hear(1, word(State::Lost(away())));
        reach.hear(2, word(State::Lost(Trouble::coded("28P01", "wrong password"))));
        reach.hear(1, word(State::Reached));
        assert_eq!(reach.tell(), (true, Some("wrong password".to_owned())));
        reach.hear(2, word(State::Lost(away())));
        assert_eq!(reach.tell(), (true, Some("refused".to_owned())), "it is not reached by this one");
        reach.hear(2, word(State::Reached));
        assert_eq!(reach.tell(), (true, None));
    }

    #[test]
    fn a_worker_whose_connections_have_ended_does_not_say_that_it_is_served() {
        let reach = Arc::new(Reach::default());
        let (one, other) = (reach.member(), reach.member());
        one.reached();
        other.reached();
        one.end();
        other.end();
        one.lost(away());
        assert_eq!(reach.tell(), (false, Some("refused".to_owned())));
        one.end();
        assert!(!reach.tell().0, "that the last attempt failed stays known");
    }

    #[test]
    fn an_error_of_queries_ends_with_an_answer_about_the_same_when_none_met_with_it_for_a_while() {
        let missing = || Trouble::coded("42P01", "no world");
        let (mut board, now) = (Board::default(), Instant::now());
        board.refuse(Work::Read, missing(), now);
        board.refuse(Work::Write, missing(), now);
        assert_eq!(board.sum().refused, [missing()]);
        board.answer(Work::Read, now + FIRM / 2);
        board.answer(Work::Fortunes, now + FIRM * 2);
        assert_eq!(board.refused.len(), 1);
        board.answer(Work::Write, now + FIRM);
        assert_eq!(board.sum(), Word::default());
    }

    #[test]
    fn what_is_mended_for_queries_is_mended_for_connections_and_the_other_way_round() {
        let missing = || Trouble::coded("42P01", "no world");
        let now = Instant::now();
        let word = |state| Word { state, refused: Vec::new() };
        let mut board = Board::default();
        board.refuse(Work::Read, missing(), now);
        board.put(1, word(State::Short(missing())));
        board.answer(Work::Read, now + FIRM);
        assert_eq!(board.sum(), word(State::Reached));
        board.refuse(Work::Read, missing(), now);
        board.put(1, word(State::Lost(missing())));
        board.put(1, word(State::Reached));
        assert_eq!(board.sum(), word(State::Reached));
    }

    #[test]
    fn no_more_kinds_of_errors_are_kept_than_there_may_be() {
        let reach = Reach::default();
        for code in 0..MOST_REFUSED * 2 {
            reach.refuse(Work::Read, Trouble::coded(&code.to_string(), "no"));
        }
        assert_eq!(reach.sum.borrow().refused.len(), MOST_REFUSED);
        assert!(reach.is_refused());
    }
}
