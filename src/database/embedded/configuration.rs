//! Writes our files into the cluster's directory.
//!
//! **Invariant:** a file is whole or not there, and is written inside the directory that was opened, whatever becomes of
//! its path meanwhile: the directory belongs to another user than root, and root writes to it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, fchown, open, openat, renameat, unlinkat};

use super::error::EmbeddedError;
use super::identity::Identity;
use super::settings::{self, Settings};

/// Writes `plimsoll.conf` and `pg_hba.conf`, and sees to it that `postgresql.conf` includes the former.
pub(super) fn write(
    cluster: &Path,
    identity: &Identity,
    settings: &Settings<'_>,
) -> Result<(), EmbeddedError> {
    let folder = Folder::open(cluster, identity).map_err(EmbeddedError::files("open", cluster))?;
    let mut main = folder.read("postgresql.conf").map_err(EmbeddedError::files("read", cluster))?;
    if !main.lines().any(|line| line.trim() == settings::INCLUDE) {
        main.push_str("\n# The settings of plimsoll; `ALTER SYSTEM` wins over them.\n");
        main.push_str(settings::INCLUDE);
        main.push('\n');
    }
    let files = [
        (settings::FILE, settings.text()),
        ("pg_hba.conf", settings::host_based_access().to_owned()),
        ("postgresql.conf", main),
    ];
    for (name, text) in files {
        folder.replace(name, &text).map_err(EmbeddedError::files("write", cluster.join(name)))?;
    }
    Ok(())
}

struct Folder<'a> {
    descriptor: OwnedFd,
    identity: &'a Identity,
}

impl<'a> Folder<'a> {
    fn open(path: &Path, identity: &'a Identity) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { descriptor: open(path, flags, Mode::empty())?, identity })
    }

    /// The text of a file; nothing, if it is not there or not text.
    fn read(&self, name: &str) -> io::Result<String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(String::new()),
            Err(errno) => return Err(errno.into()),
        };
        let mut bytes = Vec::new();
        file.take(1024 * 1024).read_to_end(&mut bytes)?;
        Ok(String::from_utf8(bytes).unwrap_or_default())
    }

    /// Puts a file in the place of what is there, unless that is the same.
    fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        if self.read(name).is_ok_and(|now| now == text) {
            return Ok(());
        }
        let new = format!("{name}.plimsoll-new");
        match unlinkat(&self.descriptor, &new, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.descriptor, &new, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(text.as_bytes())?;
        if self.identity.drops() {
            let (uid, gid) = (Uid::from_raw(self.identity.uid), Gid::from_raw(self.identity.gid));
            fchown(&file, Some(uid), Some(gid))?;
        }
        // Before the rename: after a power cut there is the old file or the new one, and not an empty one.
        file.sync_all()?;
        renameat(&self.descriptor, &new, &self.descriptor, name)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn settings() -> Settings<'static> {
        Settings {
            socket_dir: "/run/x",
            port: 5432,
            tcp: false,
            max_connections: 8,
            memory: None,
            statement_statistics: false,
        }
    }

    #[test]
    fn the_main_file_gets_one_line_however_often_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::choose(&dir.path().join("none")).unwrap();
        fs::write(dir.path().join("postgresql.conf"), "max_connections = 5\n").unwrap();
        write(dir.path(), &identity, &settings()).unwrap();
        write(dir.path(), &identity, &settings()).unwrap();
        let text = fs::read_to_string(dir.path().join("postgresql.conf")).unwrap();
        assert!(text.starts_with("max_connections = 5\n"));
        assert_eq!(text.matches(settings::INCLUDE).count(), 1);
    }

    #[test]
    fn a_link_in_a_files_place_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::choose(&dir.path().join("none")).unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        for name in ["plimsoll.conf", "plimsoll.conf.plimsoll-new"] {
            std::os::unix::fs::symlink(&victim, dir.path().join(name)).unwrap();
        }
        write(dir.path(), &identity, &settings()).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert!(fs::symlink_metadata(dir.path().join("plimsoll.conf")).unwrap().is_file());
    }
}
