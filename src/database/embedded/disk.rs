//! The disk under the cluster: while too little of it is free, the server takes no writes.
//!
//! A PostgreSQL that cannot make the next file of its write-ahead log ends itself, and does not come up again before there is room
//! for one (<https://www.postgresql.org/docs/current/disk-full.html>); reads would end with it. So writes are refused some files
//! before that, by `default_transaction_read_only`, and reads go on.
//!
//! **Invariant:** refusing and taking writes needs no room on the disk: a file that was written before is renamed.

use std::io;
use std::path::Path;

use super::error::EmbeddedError;
use super::folder::Folder;
use super::identity::Identity;
use super::postmaster::Postmaster;
use super::site::Site;
use rustix::process::Signal;

/// The file that makes the server refuse writes while it has this name; `plimsoll.conf` includes it if it exists.
pub(super) const FULL: &str = "plimsoll-full.conf";
/// Its name at other times.
const NOT_FULL: &str = "plimsoll-full.conf.off";
const TEXT: &str = "# In force while too little of the disk is free; plimsoll renames this file.\n\
                    default_transaction_read_only = on\n";

/// A file of the write-ahead log, unless `initdb` was told otherwise.
const WAL_FILE: u64 = 16 * 1024 * 1024;
/// Writes are refused while less than this is free: what running statements and checkpoints write until all have heard of it.
const LEAST_FREE: u64 = 2 * WAL_FILE;
/// They are taken again when this is free, so that a disk at the edge does not turn them on and off.
const ENOUGH_FREE: u64 = 3 * WAL_FILE;

/// What became of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Whether writes are refused from now on, or taken again.
    pub is_full: bool,
    /// Bytes that PostgreSQL's user may still write.
    pub free: u64,
    /// From how many free bytes on writes are taken again.
    pub enough: u64,
}

/// Sees to it that a server that is started takes writes, and that it can be told otherwise.
pub(super) fn prepare(folder: &Folder<'_>) -> io::Result<()> {
    folder.rename(FULL, NOT_FULL)?;
    folder.replace(NOT_FULL, TEXT)
}

/// Whether the server was told to refuse writes, perhaps by a service that ended without taking it back.
pub(super) fn is_refusing(site: &Site) -> bool {
    site.cluster.join(FULL).exists()
}

/// Looks at the disk, and tells the server where that changes something; `was_full` says what it was told last.
pub(super) fn look(
    site: &Site,
    postmaster: &Postmaster,
    was_full: bool,
) -> Result<Option<Disk>, EmbeddedError> {
    let free = free(&site.cluster).map_err(EmbeddedError::files("look at the disk of", &site.cluster))?;
    let is_full = is_full(was_full, free);
    if is_full == was_full {
        return Ok(None);
    }
    let told =
        turn(&site.cluster, &site.identity, is_full).and_then(|()| postmaster.process.signal(Signal::HUP));
    told.map_err(EmbeddedError::files("rename", site.cluster.join(FULL)))?;
    Ok(Some(Disk { is_full, free, enough: ENOUGH_FREE }))
}

fn turn(cluster: &Path, identity: &Identity, full: bool) -> io::Result<()> {
    let (from, to) = if full { (NOT_FULL, FULL) } else { (FULL, NOT_FULL) };
    Folder::open(cluster, identity)?.rename(from, to)
}

/// Bytes that a user other than root may still write there.
fn free(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn is_full(was_full: bool, free: u64) -> bool {
    free < if was_full { ENOUGH_FREE } else { LEAST_FREE }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_disk_at_the_edge_does_not_turn_writes_on_and_off() {
        assert!(!is_full(false, LEAST_FREE) && is_full(false, LEAST_FREE - 1));
        assert!(!is_full(true, ENOUGH_FREE) && is_full(true, ENOUGH_FREE - 1));
    }

    #[test]
    fn the_file_has_one_of_its_two_names() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::choose(&dir.path().join("none")).unwrap();
        let (full, not_full) = (dir.path().join(FULL), dir.path().join(NOT_FULL));
        for _ in 0..2 {
            prepare(&Folder::open(dir.path(), &identity).unwrap()).unwrap();
            assert!(!full.exists() && not_full.exists());
            turn(dir.path(), &identity, true).unwrap();
            assert_eq!(fs::read_to_string(&full).unwrap(), TEXT);
            assert!(!not_full.exists());
        }
    }
}
