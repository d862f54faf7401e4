//! Files in directories that belong to another user than root, and that root writes to.
//!
//! **Invariant:** a file is written inside the directory that was opened, whatever becomes of its path meanwhile, is
//! whole or not there, and is never reached through a link of either kind.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, open, openat, renameat, unlinkat};

use super::identity::Identity;

/// A directory that was opened once, and is the same one from then on.
pub(super) struct Folder<'a> {
    descriptor: OwnedFd,
    identity: &'a Identity,
}

impl<'a> Folder<'a> {
    pub(super) fn open(path: &Path, identity: &'a Identity) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { descriptor: open(path, flags, Mode::empty())?, identity })
    }

    /// The text of a file, if it is there; what is not text in it is replaced.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<String>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let mut bytes = Vec::new();
        file.take(1024 * 1024).read_to_end(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Puts a file in the place of what is there, unless that is the same.
    pub(super) fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        if self.read(name).is_ok_and(|now| now.as_deref() == Some(text)) {
            return Ok(());
        }
        let new = format!("{name}.plimsoll-new");
        self.remove(&new)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.descriptor, &new, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(text.as_bytes())?;
        self.identity.give_file(&file)?;
        // Before the rename: after a power cut there is the old file or the new one, and not an empty one.
        file.sync_all()?;
        renameat(&self.descriptor, &new, &self.descriptor, name)?;
        Ok(())
    }

    /// Gives a file another name, if it is there.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        match renameat(&self.descriptor, from, &self.descriptor, to) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Opens a file of ours to append to, making it if need be, and gives it to the user PostgreSQL runs as.
///
/// # Errors
/// Among others when what is there is a link, has another name somewhere else, or is no file at all: somebody put
/// it there for root to write through.
pub(super) fn open_own(path: &Path, identity: &Identity) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.nlink() != 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file of its own"));
    }
    identity.give_file(&file)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn own() -> Identity {
        Identity::choose(Path::new("/nonexistent")).unwrap()
    }

    #[test]
    fn a_link_in_a_files_place_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        for name in ["conf", "conf.plimsoll-new"] {
            symlink(&victim, dir.path().join(name)).unwrap();
        }
        let identity = own();
        Folder::open(dir.path(), &identity).unwrap().replace("conf", "text").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert!(fs::symlink_metadata(dir.path().join("conf")).unwrap().is_file());
    }

    #[test]
    fn a_linked_directory_is_not_entered() {
        let dir = tempfile::tempdir().unwrap();
        symlink(dir.path(), dir.path().join("link")).unwrap();
        assert!(Folder::open(&dir.path().join("link"), &own()).is_err());
    }

    #[test]
    fn a_file_with_another_name_elsewhere_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, path) = (dir.path().join("victim"), dir.path().join("log"));
        fs::write(&victim, "").unwrap();
        fs::hard_link(&victim, &path).unwrap();
        assert!(open_own(&path, &own()).is_err());
        fs::remove_file(&path).unwrap();
        symlink(&victim, &path).unwrap();
        assert!(open_own(&path, &own()).is_err());
        fs::remove_file(&path).unwrap();
        open_own(&path, &own()).unwrap();
    }
}
