//! One user for a data directory at a time.
//!
//! **Invariant:** the lock is the kernel's, on an open file, so it ends with its holder however that ends; the number
//! in the file is only for the message. The file is never removed, since removing it while somebody waits would make two.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::error::EmbeddedError;
use super::identity::Identity;

/// Holds the data directory until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the data directory, or says who has it.
    pub(super) fn take(data_dir: &Path, identity: &Identity) -> Result<Self, EmbeddedError> {
        let path = data_dir.join("plimsoll.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(EmbeddedError::files("write", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(EmbeddedError::InUse { data_dir: data_dir.into(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(EmbeddedError::files("lock", path)(source)),
        }
        // So that the owner of the cluster can also take it when started without root.
        identity.give(&path).map_err(EmbeddedError::files("give away", &path))?;
        let write = |mut file: &File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&file).map_err(EmbeddedError::files("write", &path))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_with_the_first_ones_pid() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::choose(&dir.path().join("none")).unwrap();
        let lock = Lock::take(dir.path(), &identity).unwrap();
        let error = Lock::take(dir.path(), &identity).unwrap_err();
        assert!(
            matches!(error, EmbeddedError::InUse { pid: Some(pid), .. } if pid == std::process::id()),
            "{error}"
        );
        drop(lock);
        Lock::take(dir.path(), &identity).unwrap();
    }

    #[test]
    fn a_link_in_the_locks_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::choose(&dir.path().join("none")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), dir.path().join("plimsoll.lock")).unwrap();
        let error = Lock::take(dir.path(), &identity).unwrap_err();
        assert!(matches!(error, EmbeddedError::Files { .. }), "{error}");
        assert!(!dir.path().join("elsewhere").exists());
    }
}
