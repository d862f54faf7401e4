//! What was measured, a line of JSON each, written when it was measured; and the way back from it.
//!
//! The first line says what was swept. A last line that is not whole, as a crash or a full disk leaves it, is cut off.
//!
//! **Invariant:** a journal is only added to by one sweep at a time, of the same settings and versions, and never overwritten.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::grid::Point;
use super::summary::Reading;

/// The journal's name in the directory of a sweep.
const NAME: &str = "sweep.jsonl";
/// The version of the format.
const VERSION: u32 = 1;

/// The setting that is known last: which PostgreSQL answers. [`Journal::expect`] compares it.
pub(crate) const SERVER: &str = "postgresql";

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// There is one already.
    #[error("{0} holds a sweep already: go on with it by --resume, or name another directory with --out")]
    There(PathBuf),
    /// There is none.
    #[error(
        "{0} is not there: there is nothing to resume. Leave --resume out, or name the directory of a sweep with --out"
    )]
    NotThere(PathBuf),
    /// It is of another sweep.
    #[error(
        "{path} is of a sweep with other settings or versions: {differences}. Give the same ones, or name another directory with --out"
    )]
    Other {
        /// The journal.
        path: PathBuf,
        /// Which settings differ, with both values.
        differences: String,
    },
    /// Another sweep writes it.
    #[error("{0} is being written by another sweep: wait for its end, or name another directory with --out")]
    Busy(PathBuf),
    /// It holds something else.
    #[error("{0} is no journal of this version of the program: name another directory with --out")]
    Garbled(PathBuf),
    /// It cannot be read or written.
    #[error("{path} cannot be {what}: {source}")]
    File {
        /// The journal.
        path: PathBuf,
        /// `read`, `written` or `locked`.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl JournalError {
    /// Whether another setting, rather than another disk, mends it.
    pub(crate) fn is_about_settings(&self) -> bool {
        !matches!(self, Self::File { .. })
    }
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u32,
    settings: BTreeMap<String, String>,
}

/// One visit of one point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The round, from 0.
    pub(crate) round: u32,
    /// Where.
    pub(crate) point: Point,
    /// What was found there.
    pub(crate) reading: Reading,
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    /// Locked for as long as it is open, against a second sweep: flock(2).
    file: File,
    settings: BTreeMap<String, String>,
    records: Vec<Record>,
}

impl Journal {
    /// Refuses a directory that holds one.
    pub(crate) fn expect_none(directory: &Path) -> Result<(), JournalError> {
        let path = directory.join(NAME);
        if path.exists() { Err(JournalError::There(path)) } else { Ok(()) }
    }

    /// Begins one in this directory, which is made if it is not there.
    pub(crate) fn begin(directory: &Path, settings: &[(&str, String)]) -> Result<Self, JournalError> {
        let path = directory.join(NAME);
        fs::create_dir_all(directory).map_err(failed(&path, "written"))?;
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => JournalError::There(path.clone()),
            _ => failed(&path, "written")(error),
        })?;
        lock(&file, &path)?;
        let head = Head { version: VERSION, settings: owned(settings) };
        let mut journal = Self { path, file, settings: BTreeMap::new(), records: Vec::new() };
        journal.write(&head)?;
        journal.settings = head.settings;
        Ok(journal)
    }

    /// Opens the one in this directory, which must be of the same settings; [`SERVER`] is left for later.
    pub(crate) fn resume(directory: &Path, settings: &[(&str, String)]) -> Result<Self, JournalError> {
        let path = directory.join(NAME);
        let mut file =
            OpenOptions::new().read(true).append(true).open(&path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => JournalError::NotThere(path.clone()),
                _ => failed(&path, "written")(error),
            })?;
        lock(&file, &path)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => JournalError::Garbled(path.clone()),
            _ => failed(&path, "read")(error),
        })?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines();
        let head = lines.next().and_then(|line| serde_json::from_str::<Head>(line).ok());
        let head =
            head.filter(|head| head.version == VERSION).ok_or_else(|| JournalError::Garbled(path.clone()))?;
        let mut known = head.settings.clone();
        known.remove(SERVER);
        let differences = differences(&known, &owned(settings));
        if !differences.is_empty() {
            return Err(JournalError::Other { path, differences });
        }
        let records =
            lines.map(|line| serde_json::from_str(line).map_err(|_| JournalError::Garbled(path.clone())));
        let records = records.collect::<Result<Vec<Record>, _>>()?;
        file.set_len(whole as u64).map_err(failed(&path, "written"))?;
        Ok(Self { path, file, settings: head.settings, records })
    }

    /// Refuses where one setting, which was not known when this was opened, was another.
    pub(crate) fn expect(&self, name: &str, value: &str) -> Result<(), JournalError> {
        let theirs = self.settings.get(name).cloned().unwrap_or_else(|| "unknown".into());
        if theirs == value {
            return Ok(());
        }
        let differences = format!("{name} was {theirs}, and is {value}");
        Err(JournalError::Other { path: self.path.clone(), differences })
    }

    /// What it holds, in the order in which it was measured.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whether this visit was made.
    pub(crate) fn holds(&self, round: u32, point: &Point) -> bool {
        self.records.iter().any(|record| record.round == round && record.point == *point)
    }

    /// Writes one reading.
    pub(crate) fn keep(&mut self, round: u32, point: &Point, reading: Reading) -> Result<(), JournalError> {
        let record = Record { round, point: point.clone(), reading };
        self.write(&record)?;
        self.records.push(record);
        Ok(())
    }

    /// A whole line at once, so that a line is there or is the last.
    fn write(&mut self, line: &impl Serialize) -> Result<(), JournalError> {
        let written = serde_json::to_string(line).map_err(io::Error::other);
        let written = written.and_then(|text| self.file.write_all(format!("{text}\n").as_bytes()));
        written.map_err(failed(&self.path, "written"))
    }
}

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::Busy(path.to_path_buf()),
        TryLockError::Error(error) => failed(path, "locked")(error),
    })
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_path_buf();
    move |source| JournalError::File { path, what, source }
}

fn owned(settings: &[(&str, String)]) -> BTreeMap<String, String> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// Which settings differ, with both values.
fn differences(theirs: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) -> String {
    let names: std::collections::BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let differing = names.into_iter().filter(|name| theirs.get(*name) != ours.get(*name));
    let value =
        |of: &BTreeMap<String, String>, name: &String| of.get(name).cloned().unwrap_or_else(|| "none".into());
    let told =
        differing.map(|name| format!("{name} was {}, and is {}", value(theirs, name), value(ours, name)));
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sweep::Axis;
    use crate::sweep::grid::{self, tests::course};

    fn settings(seconds: &str) -> Vec<(&'static str, String)> {
        vec![("seconds", seconds.to_owned()), ("routes", "/db".to_owned())]
    }

    fn reading(rate: f64) -> Reading {
        Reading { rate, p99_us: Some(120.5), ..Reading::default() }
    }

    #[test]
    fn what_was_kept_is_there_again_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let points = grid::points(&course(Axis::Pool, &[1, 2]));
        let mut journal = Journal::begin(folder.path(), &settings("1")).unwrap();
        journal.keep(0, &points[0], reading(1.5)).unwrap();
        journal.keep(0, &points[1], reading(2.5)).unwrap();
        let kept = journal.records().to_vec();
        drop(journal);
        let path = folder.path().join(NAME);
        let torn = fs::read_to_string(&path).unwrap() + "{\"round\":1,\"poi";
        fs::write(&path, torn).unwrap();
        let mut journal = Journal::resume(folder.path(), &settings("1")).unwrap();
        assert_eq!(journal.records(), kept);
        assert!(journal.holds(0, &points[1]) && !journal.holds(1, &points[1]));
        journal.keep(1, &points[0], reading(3.5)).unwrap();
        drop(journal);
        assert_eq!(Journal::resume(folder.path(), &settings("1")).unwrap().records().len(), 3);
    }

    #[test]
    fn a_journal_has_one_sweep_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Journal::begin(folder.path(), &settings("1")).unwrap();
        let busy = Journal::resume(folder.path(), &settings("1")).unwrap_err();
        assert!(matches!(busy, JournalError::Busy(_)) && busy.is_about_settings(), "{busy}");
        drop(first);
        let second = Journal::resume(folder.path(), &settings("1")).unwrap();
        assert!(matches!(Journal::resume(folder.path(), &settings("1")), Err(JournalError::Busy(_))));
        drop(second);
        Journal::resume(folder.path(), &settings("1")).unwrap();
    }

    #[test]
    fn another_postgresql_is_refused_once_it_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let server = |version: &str| [settings("1"), vec![(SERVER, version.to_owned())]].concat();
        drop(Journal::begin(folder.path(), &server("15.18")).unwrap());
        let journal = Journal::resume(folder.path(), &settings("1")).unwrap();
        journal.expect(SERVER, "15.18").unwrap();
        let why = journal.expect(SERVER, "18.1").unwrap_err().to_string();
        assert!(why.contains("postgresql was 15.18, and is 18.1"), "{why}");
    }

    #[test]
    fn another_sweep_is_refused_and_the_settings_that_differ_are_named() {
        let folder = tempfile::tempdir().unwrap();
        Journal::begin(folder.path(), &settings("1")).unwrap();
        let why = Journal::resume(folder.path(), &settings("2")).unwrap_err();
        assert!(why.is_about_settings());
        let why = why.to_string();
        assert!(why.contains("seconds was 1, and is 2") && !why.contains("routes"), "{why}");
        assert!(matches!(Journal::begin(folder.path(), &settings("1")), Err(JournalError::There(_))));
        assert!(matches!(Journal::expect_none(folder.path()), Err(JournalError::There(_))));
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(Journal::resume(empty.path(), &settings("1")), Err(JournalError::NotThere(_))));
        fs::write(empty.path().join(NAME), "hello\n").unwrap();
        assert!(matches!(Journal::resume(empty.path(), &settings("1")), Err(JournalError::Garbled(_))));
    }
}
