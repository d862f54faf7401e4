//! The threads of one run, and what they count, added up second by second.
//!
//! **Invariant:** the first thread that fails ends the others, and each has ended before anything is given back.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::engine::Interval;
use super::run::LoadError;
use super::stats::Stats;

/// One second of all threads.
#[derive(Debug)]
pub struct Row {
    /// Which, from the start of the run.
    pub second: u64,
    /// What was counted in it.
    pub stats: Stats,
    /// Connections open at its end.
    pub open: u64,
}

/// What a thread says.
enum Word {
    Interval(usize, Box<Interval>),
    Ended(usize, Result<u64, LoadError>),
}

/// Does some work on each of so many threads; gives the sum of what they tell and the moment of the last end. The work is told which thread it
/// is on, tells its seconds, and gives the moment of its end. Where it fails or panics, `stop` is set, which the others are to heed.
pub(super) fn run_threads(
    threads: usize,
    stop: &AtomicBool,
    work: &(impl Fn(usize, &mut dyn FnMut(Interval)) -> io::Result<u64> + Sync),
    watch: &mut dyn FnMut(&Row),
) -> Result<(Stats, u64), LoadError> {
    let (words, heard) = channel();
    thread::scope(|scope| {
        for index in 0..threads {
            let tell = words.clone();
            let thread = thread::Builder::new().name(format!("load-{index}"));
            if let Err(error) = thread.spawn_scoped(scope, move || one_thread(index, work, &tell)) {
                // As one that ended at once: those that run already end as soon as this is heard.
                let _ = words.send(Word::Ended(index, Err(error.into())));
            }
        }
        drop(words);
        listen(heard, threads, stop, watch)
    })
}

fn one_thread(
    index: usize,
    work: &impl Fn(usize, &mut dyn FnMut(Interval)) -> io::Result<u64>,
    words: &Sender<Word>,
) {
    // That nobody listens any more means that the run is being given up.
    let mut tell = |interval| drop(words.send(Word::Interval(index, Box::new(interval))));
    // What a panic leaves half done is this thread's own, and ends with it.
    let ended = match catch_unwind(AssertUnwindSafe(|| work(index, &mut tell))) {
        Ok(ended) => ended.map_err(LoadError::from),
        Err(_) => Err(LoadError::Died),
    };
    let _ = words.send(Word::Ended(index, ended));
}

/// Adds up what threads tell until all have ended.
fn listen(
    heard: Receiver<Word>,
    threads: usize,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(&Row),
) -> Result<(Stats, u64), LoadError> {
    let mut sum = Stats::default();
    let mut rows: BTreeMap<u64, Row> = BTreeMap::new();
    let mut told: Vec<Option<u64>> = vec![None; threads];
    let (mut end, mut failed) = (0, None);
    for word in heard {
        match word {
            Word::Interval(index, interval) => {
                let Interval { second, stats, open } = *interval;
                sum.add(&stats);
                let row = rows.entry(second).or_insert(Row { second, stats: Stats::default(), open: 0 });
                row.stats.add(&stats);
                row.open += open;
                told[index] = Some(second);
            }
            Word::Ended(index, ended) => {
                told[index] = Some(u64::MAX);
                match ended {
                    Ok(moment) => end = end.max(moment),
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        failed.get_or_insert(error);
                    }
                }
            }
        }
        let whole = told.iter().min().copied().flatten();
        while let Some(row) = rows.first_entry().filter(|row| whole.is_some_and(|whole| *row.key() < whole)) {
            watch(&row.remove());
        }
    }
    rows.values().for_each(watch);
    failed.map_or(Ok((sum, end)), Err)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// The first of three threads does this, the others tell one second each when they are stopped; gives the error and the seconds told.
    fn run(first: impl Fn() -> io::Result<u64> + Sync) -> (LoadError, Vec<(u64, u64)>) {
        let stop = AtomicBool::new(false);
        let deadline = Instant::now() + Duration::from_secs(30);
        let work = |index, tell: &mut dyn FnMut(Interval)| {
            if index == 0 {
                return first();
            }
            while !stop.load(Ordering::Relaxed) {
                assert!(Instant::now() < deadline, "nobody stops the others");
                thread::yield_now();
            }
            tell(Interval { second: 4, stats: Stats::default(), open: 1 });
            Ok(9)
        };
        let mut seconds = Vec::new();
        let ended = run_threads(3, &stop, &work, &mut |row| seconds.push((row.second, row.open)));
        (ended.unwrap_err(), seconds)
    }

    #[test]
    fn a_thread_that_fails_ends_the_others_and_their_last_seconds_are_told() {
        let (error, seconds) = run(|| Err(io::Error::other("no epoll")));
        assert!(matches!(error, LoadError::System(why) if why.to_string() == "no epoll"));
        assert_eq!(seconds, [(4, 2)]);
    }

    #[test]
    fn a_thread_that_panics_ends_the_others_and_is_told_as_dead() {
        let (error, seconds) = run(|| panic!("a fault of ours"));
        assert!(matches!(error, LoadError::Died));
        assert_eq!(seconds, [(4, 2)]);
    }
}
