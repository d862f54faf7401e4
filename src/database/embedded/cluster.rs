//! The cluster on disk: which are there, and how one is made.
//!
//! **Invariant:** a directory called `pgNN` is a whole cluster. It is made under another name and renamed when
//! everything in it is on the disk, so that one cut off half-way, by a kill or a power cut, is never taken for whole.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::EmbeddedError;
use super::program::{self, Ended};
use super::site::Site;

const INITDB_DEADLINE: Duration = Duration::from_mins(2);

/// The major versions of the clusters in a data directory.
pub(super) fn majors_in(data_dir: &Path) -> BTreeSet<u32> {
    let Ok(entries) = fs::read_dir(data_dir) else { return BTreeSet::new() };
    let major = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let name = entry.file_name();
        let digits =
            name.to_str()?.strip_prefix("pg").filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        entry.path().join("PG_VERSION").exists().then(|| digits.parse().ok()).flatten()
    };
    entries.filter_map(major).collect()
}

/// Makes the cluster unless it is there.
pub(super) fn ensure(site: &Site, progress: &mut dyn FnMut(&str)) -> Result<(), EmbeddedError> {
    remove_half_made(site);
    let path = &site.cluster;
    match state(path, site.binaries.major) {
        State::Whole => site.identity.give_tree(path).map_err(EmbeddedError::files("give away", path)),
        State::Absent => make(site, progress),
        State::Else => Err(EmbeddedError::NotACluster { path: path.clone(), major: site.binaries.major }),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Absent,
    Whole,
    Else,
}

fn state(path: &Path, major: u32) -> State {
    let Ok(found) = fs::symlink_metadata(path) else { return State::Absent };
    if !found.is_dir() {
        return State::Else;
    }
    // A rename puts the new cluster in the place of an empty directory as well.
    if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) {
        return State::Absent;
    }
    let version = fs::read_to_string(path.join("PG_VERSION")).unwrap_or_default();
    if version.trim() == major.to_string() { State::Whole } else { State::Else }
}

fn make(site: &Site, progress: &mut dyn FnMut(&str)) -> Result<(), EmbeddedError> {
    progress(&format!(
        "making a new PostgreSQL {} cluster in {}",
        site.binaries.major,
        site.cluster.display()
    ));
    let new = new_path(&site.cluster);
    let made = fill(site, &new, progress);
    if made.is_err() {
        drop(fs::remove_dir_all(&new));
    }
    made
}

fn fill(site: &Site, new: &Path, progress: &mut dyn FnMut(&str)) -> Result<(), EmbeddedError> {
    DirBuilder::new().mode(0o700).create(new).map_err(EmbeddedError::files("create", new))?;
    site.identity.give(new).map_err(EmbeddedError::files("give away", new))?;
    let mut command = site.identity.command(&site.binaries.program("initdb"), &site.data_dir);
    command.arg("-D").arg(new).args([
        "--username=postgres",
        "--encoding=UTF8",
        "--no-locale",
        "--auth-local=trust",
        "--auth-host=scram-sha-256",
    ]);
    // No --no-sync: what initdb wrote must be on the disk before the rename says that it is whole.
    let mut waiting = |elapsed: Duration| {
        if elapsed.as_secs().is_multiple_of(5) {
            progress(&format!("still making the cluster ({} s)", elapsed.as_secs()));
        }
    };
    let program = site.binaries.program("initdb");
    match program::run(&mut command, INITDB_DEADLINE, &mut waiting)
        .map_err(EmbeddedError::files("run", &program))?
    {
        Ended::Well(_) => {}
        Ended::Badly(output, status) => {
            let detail = format!("{} ({status})", last_words(&output));
            return Err(EmbeddedError::Program { program: program.display().to_string(), detail });
        }
        Ended::Late => {
            return Err(EmbeddedError::TimedOut {
                what: "initdb",
                after: INITDB_DEADLINE,
                log: site.log.clone(),
            });
        }
    }
    fs::rename(new, &site.cluster).map_err(EmbeddedError::files("rename", new))?;
    let synced = File::open(&site.data_dir).and_then(|dir| dir.sync_all());
    synced.map_err(EmbeddedError::files("sync", &site.data_dir))
}

/// initdb tells its troubles as `initdb: error: …`, `FATAL: …`, between lines of what it is doing.
fn last_words(output: &str) -> String {
    let told = |line: &&str| line.contains("error:") || line.contains("FATAL") || line.contains("PANIC");
    let lines: Vec<&str> = output.lines().filter(told).collect();
    if lines.is_empty() { output.lines().last().unwrap_or("no output").to_owned() } else { lines.join("; ") }
}

/// A name of its own each time: an initdb that outlived its plimsoll may still be writing to the last one.
fn new_path(cluster: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut name = cluster.as_os_str().to_owned();
    name.push(format!(".new-{}-{now:x}", std::process::id()));
    name.into()
}

/// Removes what initdb left half-made. What cannot be removed now is in nobody's way, and is tried again next time.
fn remove_half_made(site: &Site) {
    let Some(name) = site.cluster.file_name().and_then(|name| name.to_str()) else { return };
    let prefix = format!("{name}.new-");
    let Ok(entries) = fs::read_dir(&site.data_dir) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
        drop(fs::remove_dir_all(entry.path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_clusters_count() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["pg15", "pg16", "pg17.new-1-2", "pgx", "run"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        for name in ["pg15", "pg17.new-1-2", "pgx"] {
            fs::write(dir.path().join(name).join("PG_VERSION"), "15\n").unwrap();
        }
        assert_eq!(majors_in(dir.path()), BTreeSet::from([15]));
    }

    #[test]
    fn an_empty_directory_is_room_for_a_cluster_and_a_full_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(state(&dir.path().join("none"), 15), State::Absent);
        assert_eq!(state(dir.path(), 15), State::Absent);
        fs::write(dir.path().join("letter"), "").unwrap();
        assert_eq!(state(dir.path(), 15), State::Else);
        fs::write(dir.path().join("PG_VERSION"), "14\n").unwrap();
        assert_eq!(state(dir.path(), 15), State::Else);
        assert_eq!(state(dir.path(), 14), State::Whole);
    }

    #[test]
    fn initdbs_complaint_is_found_among_its_words() {
        let output = "creating directory ... \ninitdb: error: no space\ninitdb: removing contents\n";
        assert_eq!(last_words(output), "initdb: error: no space");
        assert_eq!(last_words("a\nb\n"), "b");
    }
}
