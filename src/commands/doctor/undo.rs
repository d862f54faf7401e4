//! What `--apply` changed, kept in a file until `--revert`.
//!
//! The file is one that sysctl(8) can load by itself: a comment with the value that was set, then the value before it.
//! By default it lies in `/run`, which a start of the machine empties, as it resets the settings.
//!
//! **Invariant:** the value kept is the one from before our first change, however often settings are applied after it.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::kernel::read::System;
use crate::kernel::sysctl::{Sysctl, parse_values, write_values};

const HEADER: &str = "# What `plimsoll doctor --apply` changed. `plimsoll doctor --revert` puts it back, and so does sysctl -p.\n";
const SET: &str = "# set: ";

/// One setting that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// Which.
    pub(super) sysctl: Sysctl,
    /// Its values before.
    pub(super) was: Vec<u64>,
    /// The values it was given.
    pub(super) set: Vec<u64>,
}

/// `/run/plimsoll/doctor-undo.conf` for root, and in the user's own runtime directory for others.
pub(super) fn default_path(system: &System) -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty() && !geteuid().is_root());
    own.map_or_else(|| system.path("run"), PathBuf::from).join("plimsoll").join("doctor-undo.conf")
}

/// Reads the file; one that is not there holds no changes.
pub(super) fn load(path: &Path) -> io::Result<Vec<Change>> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "it was not written by plimsoll doctor --apply")
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Writes the file as a whole, or takes it away where there is nothing to keep.
pub(super) fn save(path: &Path, changes: &[Change]) -> io::Result<()> {
    if changes.is_empty() {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, render(changes))?;
    std::fs::rename(&unfinished, path)
}

/// Adds a change about to be made. Where the setting still has the value that we gave it, what was before that is kept.
pub(super) fn note(changes: &mut Vec<Change>, new: Change) {
    match changes.iter_mut().find(|change| change.sysctl == new.sysctl) {
        Some(known) if known.set == new.was => known.set = new.set,
        Some(known) => *known = new,
        None => changes.push(new),
    }
}

fn render(changes: &[Change]) -> String {
    changes.iter().fold(HEADER.to_owned(), |mut text, Change { sysctl, was, set }| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{SET}{}\n{} = {}\n", write_values(set), sysctl.key(), write_values(was));
        text
    })
}

fn parse(text: &str) -> Option<Vec<Change>> {
    let mut lines = text.strip_prefix(HEADER)?.lines();
    let mut changes = Vec::new();
    while let Some(line) = lines.next() {
        let set = parse_values(line.strip_prefix(SET)?)?;
        let (key, was) = lines.next()?.split_once(" = ")?;
        changes.push(Change { sysctl: Sysctl::from_key(key)?, was: parse_values(was)?, set });
    }
    Some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(was: u64, set: u64) -> Change {
        Change { sysctl: Sysctl::Somaxconn, was: vec![was], set: vec![set] }
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let range = Change { sysctl: Sysctl::PortRange, was: vec![32_768, 60_999], set: vec![1024, 65_535] };
        let changes = vec![change(4096, 16_384), range];
        assert_eq!(parse(&render(&changes)), Some(changes));
    }

    #[test]
    fn a_file_that_is_not_ours_or_names_another_setting_is_refused() {
        for text in [
            String::new(),
            "net.core.somaxconn = 1\n".into(),
            format!("{HEADER}# set: 1\nkernel.core_pattern = 0\n"),
            format!("{HEADER}# set: 1\n"),
            format!("{HEADER}# set: 1\nnet.core.somaxconn = |x\n"),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }

    #[test]
    fn the_value_before_the_first_change_is_kept_unless_somebody_else_changed_it_since() {
        let mut changes = Vec::new();
        note(&mut changes, change(100, 200));
        note(&mut changes, change(200, 300));
        assert_eq!(changes, [change(100, 300)]);
        note(&mut changes, change(250, 400));
        assert_eq!(changes, [change(250, 400)], "250 was somebody's wish");
    }
}
