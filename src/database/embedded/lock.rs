//! One user for a data directory at a time.
//!
//! **Invariant:** the lock is the kernel's, on an open file, so it ends with its holder however that ends; the number
//! in the file is only for the message. The file is never removed, since removing it while somebody waits would make two.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use super::error::EmbeddedError;
use super::folder::open_own;
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
        // The owner of the cluster gets it, who can then also take it without being root.
        let mut file = open_own(&path, identity).map_err(EmbeddedError::files("write", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(EmbeddedError::InUse { data_dir: data_dir.into(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(EmbeddedError::files("lock", path)(source)),
        }
        let write = |mut file: &File| {
            file.set_len(0)?;
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
