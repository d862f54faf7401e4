//! `postmaster.pid`, the file in which a server says that it holds a cluster.
//!
//! **Invariant:** the file is only ever changed when it is certain that no server holds the cluster, and even then the
//! line by which PostgreSQL finds a shared memory block still in use stays: it is PostgreSQL's own last safeguard.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

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

pub(super) fn read(cluster: &Path) -> io::Result<Reading> {
    match fs::read_to_string(path(cluster)) {
        Ok(text) => Ok(parse(&text).map_or(Reading::Garbled, Reading::Held)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Reading::Absent),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Reading::Garbled),
        Err(error) => Err(error),
    }
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
pub(super) fn disarm(cluster: &Path) -> io::Result<()> {
    let path = path(cluster);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => String::new(),
    };
    let Some(rest) = parse(&text).and_then(|_| text.split_once('\n').map(|(_, rest)| rest)) else {
        return fs::remove_file(&path);
    };
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut file = OpenOptions::new().write(true).truncate(true).custom_flags(flags).open(&path)?;
    file.write_all(format!("{}\n{rest}", i32::MAX).as_bytes())
}

#[cfg(test)]
mod tests {
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
        disarm(dir.path()).unwrap();
        let text = fs::read_to_string(path(dir.path())).unwrap();
        assert_eq!(text, WRITTEN.replace("27195", "2147483647"));
    }

    #[test]
    fn an_empty_file_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(path(dir.path()), "").unwrap();
        assert_eq!(read(dir.path()).unwrap(), Reading::Garbled);
        disarm(dir.path()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Reading::Absent);
        disarm(dir.path()).unwrap();
    }
}
