//! The server's log: one file beside the cluster, and one older one.
//!
//! **Invariant:** it is cut at a start only, and only when no server writes to it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::folder::open_own;
use super::identity::Identity;

/// A log larger than this is put aside at the next start, in the place of the one put aside before.
const LIMIT: u64 = 4 * 1024 * 1024;
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 12;

/// Makes the log ready to be written to by the server's user; returns its length.
pub(super) fn prepare(path: &Path, identity: &Identity) -> io::Result<u64> {
    prepare_within(path, identity, LIMIT)
}

fn prepare_within(path: &Path, identity: &Identity, limit: u64) -> io::Result<u64> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.len() > limit) {
        let mut old = path.as_os_str().to_owned();
        old.push(".old");
        fs::rename(path, old)?;
    }
    Ok(open_own(path, identity)?.metadata()?.len())
}

/// The last lines that were written after `start`.
pub(super) fn tail(path: &Path, start: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(start.max(length.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    #[test]
    fn only_what_this_start_wrote_is_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let identity = Identity::choose(&dir.path().join("none")).unwrap();
        fs::write(&path, "old\n").unwrap();
        let start = prepare(&path, &identity).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        for line in 1..=20 {
            writeln!(file, "{line}").unwrap();
        }
        let tail = tail(&path, start);
        assert!(tail.starts_with("9\n") && tail.ends_with("\n20"), "{tail}");
    }

    #[test]
    fn a_large_log_is_put_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let identity = Identity::choose(&dir.path().join("none")).unwrap();
        for _ in 0..3 {
            fs::write(&path, "0123456789").unwrap();
            assert_eq!(prepare_within(&path, &identity, 5).unwrap(), 0);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert_eq!(tail(&dir.path().join("log.old"), 0), "0123456789");
    }
}
