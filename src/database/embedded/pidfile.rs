//! `postmaster.pid`, the file in which a server says that it holds a cluster.
//!
//! **Invariant:** the file is only ever changed when it is certain that no server holds the cluster, and even then the
//! line by which PostgreSQL finds a shared memory block still in use stays: it is PostgreSQL's own last safeguard.

use std::io;
use std::path::{Path, PathBuf};

use super::folder::Folder;

const NAME: &str = "postmaster.pid";

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    /// Negative for a server in single-user mode.
    pub(super) pid: i32,
    pub(super) port: Option<u16>,
    pub(super) socket_dir: Option<PathBuf>,
}

/// Whether there is a file, and whether it can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Absent,
    /// Empty or cut off, as after a power cut.
    Garbled,
    Held(PidFile),
}

pub(super) fn path(cluster: &Path) -> PathBuf {
    cluster.join(NAME)
}

pub(super) fn read(folder: &Folder<'_>) -> io::Result<Reading> {
    let text = folder.read(NAME)?;
    Ok(text.map_or(Reading::Absent, |text| parse(&text).map_or(Reading::Garbled, Reading::Held)))
}

fn parse(text: &str) -> Option<PidFile> {
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok().filter(|pid| *pid != 0)?;
    // Lines 2 and 3 are the data directory and the time of the start.
    let mut rest = lines.skip(2);
    let port = rest.next().and_then(|line| line.trim().parse().ok());
    let socket_dir = rest.next().filter(|line| !line.is_empty()).map(PathBuf::from);
    Some(PidFile { pid, port, socket_dir })
}

/// Makes a file that names a process that is no server harmless. PostgreSQL refuses to start while the number in it is
/// that of any live process of its user; a number that no process can have lets it go on to its other checks.
pub(super) fn disarm(folder: &Folder<'_>) -> io::Result<()> {
    let Some(text) = folder.read(NAME)? else { return Ok(()) };
    match text.split_once('\n') {
        Some((_, rest)) if parse(&text).is_some() => folder.replace(NAME, &format!("{}\n{rest}", i32::MAX)),
        _ => folder.remove(NAME),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::identity::Identity;
    use super::*;

    const WRITTEN: &str = "27195\n/tmp/c\n1795224880\n5432\n/tmp/run\n\n 10045649         8\nready   \n";

    #[test]
    fn the_file_is_read_as_postgresql_writes_it() {
        let expected = PidFile { pid: 27195, port: Some(5432), socket_dir: Some("/tmp/run".into()) };
        assert_eq!(parse(WRITTEN), Some(expected));
        assert_eq!(parse("-12\n"), Some(PidFile { pid: -12, port: None, socket_dir: None }));
        assert_eq!(parse(""), None);
        assert_eq!(parse("0\n"), None);
        assert_eq!(parse("x\n"), None);
    }

    #[test]
    fn a_stale_file_keeps_the_line_about_shared_memory() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(path(dir.path()), WRITTEN).unwrap();
        let identity = Identity::choose(&dir.path().join("none")).unwrap();
        disarm(&Folder::open(dir.path(), &identity).unwrap()).unwrap();
        let text = fs::read_to_string(path(dir.path())).unwrap();
        assert_eq!(text, WRITTEN.replace("27195", "2147483647"));
    }

    #[test]
    fn an_empty_file_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(path(dir.path()), "").unwrap();
        let identity = Identity::choose(&dir.path().join("none")).unwrap();
        let folder = Folder::open(dir.path(), &identity).unwrap();
        assert_eq!(read(&folder).unwrap(), Reading::Garbled);
        disarm(&folder).unwrap();
        assert_eq!(read(&folder).unwrap(), Reading::Absent);
        disarm(&folder).unwrap();
    }
}
