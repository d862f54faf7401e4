//! What `--apply` changed, kept in a file until `--revert`.
//!
//! The file is one that sysctl(8) can load by itself: a comment with the value that was set, then the value before it.
//! By default it lies in `/run`, which a start of the machine empties, as it resets the settings.
//!
//! **Invariant:** the value kept is the one from before our first change, however often settings are applied after it.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
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
    // A name that is ours alone, and a file that was not there: a neighbour's file, or a link to one, is never written to.
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".unfinished-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&unfinished)?;
    let written =
        file.write_all(render(changes).as_bytes()).and_then(|()| std::fs::rename(&unfinished, path));
    if written.is_err() {
        // What is told is why it could not be written.
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

/// Adds a change about to be made. Where the setting still has the value that we gave it, what was before that is kept.
pub(super) fn note(changes: &mut Vec<Change>, new: Change) {
    match changes.iter_mut().find(|change| change.sysctl == new.sysctl) {
        Some(known) if known.set == new.was => known.set = new.set,
        Some(known) => *known = new,
        None => changes.push(new),
    }
}

/// Corrects the note of a change that failed, by the setting's value now. Where that is what it was, the note is as it was `before`;
/// where the kernel made another value of the one that it was given, that one is ours to put back; where nobody can tell, it stays.
pub(super) fn note_failure(
    changes: &mut Vec<Change>,
    before: &[Change],
    tried: &Change,
    now: Option<Vec<u64>>,
) {
    match now {
        Some(now) if now == tried.was => {
            changes.retain(|change| change.sysctl != tried.sysctl);
            changes.extend(before.iter().find(|change| change.sysctl == tried.sysctl).cloned());
        }
        Some(now) => {
            if let Some(change) = changes.iter_mut().find(|change| change.sysctl == tried.sysctl) {
                change.set = now;
            }
        }
        None => {}
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

    #[test]
    fn a_change_that_failed_leaves_no_note_only_where_nothing_changed() {
        for (before, now, after) in [
            (vec![], Some(vec![200]), vec![]),
            (vec![change(100, 200)], Some(vec![200]), vec![change(100, 200)]),
            // The kernel keeps 250 of the 300.
            (vec![], Some(vec![250]), vec![change(200, 250)]),
            (vec![change(100, 200)], Some(vec![250]), vec![change(100, 250)]),
            (vec![], None, vec![change(200, 300)]),
        ] {
            let mut noted = before.clone();
            note(&mut noted, change(200, 300));
            note_failure(&mut noted, &before, &change(200, 300), now.clone());
            assert_eq!(noted, after, "{before:?}, now {now:?}");
        }
    }

    #[test]
    fn saving_touches_no_neighbour_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("undo.conf"), folder.path().join("victim"));
        std::fs::write(&victim, "theirs").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("undo.new")).unwrap();
        let ours = folder.path().join(format!("undo.conf.unfinished-{}", std::process::id()));
        std::os::unix::fs::symlink(&victim, &ours).unwrap();
        save(&path, &[change(1, 2)]).unwrap_err();
        std::fs::remove_file(&ours).unwrap();
        for set in [2, 3] {
            save(&path, &[change(1, set)]).unwrap();
            assert_eq!(load(&path).unwrap(), [change(1, set)]);
        }
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "theirs");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
