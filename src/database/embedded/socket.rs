//! Where the Unix socket lies.
//!
//! **Invariant:** the directory is a real one, owned by the user PostgreSQL runs as, with mode 0700: whoever can reach
//! the socket is that user or root, which is why `pg_hba.conf` may trust it.

use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::EmbeddedError;
use super::identity::Identity;

/// The kernel's room for a socket's path, its closing zero included, less one.
const PATH_BELOW: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The socket's directory, and whether it is one of our own beside the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SocketDir {
    pub(super) path: PathBuf,
    apart: bool,
}

impl SocketDir {
    /// `run` in the data directory, or, where a socket's path would be too long, a directory named after the data
    /// directory in the system's or the user's runtime directory, else in `/tmp`.
    pub(super) fn choose(data_dir: &Path, port: u16, identity: &Identity) -> Self {
        let runtime = if identity.drops() {
            // Root's own runtime directory is closed to the user PostgreSQL runs as. Only root writes to /run.
            Some(PathBuf::from("/run"))
        } else {
            env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)
        };
        let runtime = runtime.filter(|dir| dir.is_absolute() && dir.is_dir());
        choose(data_dir, port, runtime.as_deref(), identity.uid)
    }

    /// Makes the directory, or checks the one that is there.
    pub(super) fn prepare(&self, identity: &Identity) -> Result<(), EmbeddedError> {
        let path = &self.path;
        let refuse = |why: String| EmbeddedError::SocketDir { path: path.clone(), why };
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => return identity.give(path).map_err(EmbeddedError::files("give away", path)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(EmbeddedError::files("create", path)(error)),
        }
        let found = fs::symlink_metadata(path).map_err(EmbeddedError::files("read", path))?;
        if !found.is_dir() {
            return Err(refuse("it is there and is no directory".into()));
        }
        if identity.drops() && found.uid() == 0 {
            // We made it and were ended before we could give it away: nobody else makes a directory of root's.
            identity.give(path).map_err(EmbeddedError::files("give away", path))?;
        } else if !identity.owns(&found) {
            return Err(refuse(format!("it belongs to uid {}", found.uid())));
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(path, Permissions::from_mode(0o700))
                .map_err(EmbeddedError::files("close", path))?;
        }
        Ok(())
    }

    /// Removes what a server that is gone left behind: its lock file would keep the next one from starting when the
    /// number in it belongs to another process by now.
    pub(super) fn clear(&self, port: u16) {
        let socket = self.path.join(socket_name(port));
        let mut lock = socket.clone().into_os_string();
        lock.push(".lock");
        // Whatever cannot be removed the server itself will complain about.
        drop(fs::remove_file(&socket));
        drop(fs::remove_file(lock));
    }

    /// Leaves nothing behind outside the data directory.
    pub(super) fn remove(&self) {
        if self.apart {
            drop(fs::remove_dir(&self.path));
        }
    }
}

fn choose(data_dir: &Path, port: u16, runtime: Option<&Path>, uid: u32) -> SocketDir {
    let fits = |dir: &Path| dir.join(socket_name(port)).as_os_str().len() < PATH_BELOW;
    let beside = data_dir.join("run");
    // The configuration file that names the directory is text.
    if fits(&beside) && beside.to_str().is_some() {
        return SocketDir { path: beside, apart: false };
    }
    let name = format!("plimsoll-{uid}-{:016x}", fingerprint(data_dir));
    let path = runtime.map(|dir| dir.join(&name)).filter(|dir| fits(dir) && dir.to_str().is_some());
    SocketDir { path: path.unwrap_or_else(|| Path::new("/tmp").join(name)), apart: true }
}

fn socket_name(port: u16) -> String {
    format!(".s.PGSQL.{port}")
}

/// A number for a path (FNV-1a), the same in every release of ours: a later start must find what an earlier one left.
pub(super) fn fingerprint(path: &Path) -> u64 {
    let bytes = path.as_os_str().as_bytes();
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_data_directory_holds_its_socket() {
        let chosen = choose(Path::new("/var/lib/plimsoll"), 5432, None, 101);
        assert_eq!(chosen, SocketDir { path: "/var/lib/plimsoll/run".into(), apart: false });
    }

    #[test]
    fn a_long_one_has_it_elsewhere_within_the_limit() {
        let long = PathBuf::from(format!("/{}", "d".repeat(120)));
        let in_tmp = choose(&long, 65535, None, 101).path;
        assert!(in_tmp.starts_with("/tmp"), "{in_tmp:?}");
        let in_run = choose(&long, 65535, Some(Path::new("/run/user/1000")), 1000).path;
        assert!(in_run.starts_with("/run/user/1000"), "{in_run:?}");
        assert!(
            choose(&long, 65535, Some(&long), 1000).path.starts_with("/tmp"),
            "that one is too long as well"
        );
        assert!(in_tmp.join(socket_name(65535)).as_os_str().len() < PATH_BELOW);
    }

    #[test]
    fn the_limit_is_met_to_the_byte() {
        let room = PATH_BELOW - 1 - "/run/.s.PGSQL.5432".len();
        let at =
            |length: usize| choose(Path::new(&format!("/{}", "d".repeat(length - 1))), 5432, None, 1).apart;
        assert!(!at(room));
        assert!(at(room + 1));
    }

    #[test]
    fn a_squatted_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::choose(&dir.path().join("none")).unwrap();
        let link = SocketDir { path: dir.path().join("link"), apart: true };
        std::os::unix::fs::symlink(dir.path(), &link.path).unwrap();
        assert!(matches!(link.prepare(&identity), Err(EmbeddedError::SocketDir { .. })));
        // A directory of somebody else's: only root can make one to try with.
        let foreign = SocketDir { path: dir.path().join("foreign"), apart: true };
        fs::create_dir(&foreign.path).unwrap();
        if std::os::unix::fs::chown(&foreign.path, Some(12345), None).is_ok() {
            assert!(matches!(foreign.prepare(&identity), Err(EmbeddedError::SocketDir { .. })));
        }
    }

    #[test]
    fn an_open_directory_of_our_own_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::choose(&dir.path().join("none")).unwrap();
        let own = SocketDir { path: dir.path().join("run"), apart: true };
        own.prepare(&identity).unwrap();
        fs::set_permissions(&own.path, Permissions::from_mode(0o755)).unwrap();
        own.prepare(&identity).unwrap();
        assert_eq!(fs::metadata(&own.path).unwrap().mode() & 0o777, 0o700);
        own.remove();
        assert!(!own.path.exists());
    }

    #[test]
    fn the_fingerprint_never_changes() {
        assert_eq!(fingerprint(Path::new("/var/lib/plimsoll")), fingerprint(Path::new("/var/lib/plimsoll")));
        assert_eq!(fingerprint(Path::new("a")), 0xaf63_dc4c_8601_ec8c);
    }
}
