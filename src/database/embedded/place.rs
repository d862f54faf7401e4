//! The data directory: where it is by default, and whether it can be trusted.
//!
//! **Invariant:** a directory that passed [`prepare`] and [`check`] exists, is absolute, and can be changed by nobody but us, root,
//! and the user PostgreSQL runs as.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::error::EmbeddedError;
use super::identity::Identity;

/// Where the private PostgreSQL lives unless told otherwise: `/var/lib/plimsoll` for root, else
/// `$XDG_DATA_HOME/plimsoll`, else `~/.local/share/plimsoll`.
pub fn default_data_dir() -> PathBuf {
    let root = rustix::process::geteuid().is_root();
    default_for(root, env::var_os("XDG_DATA_HOME"), env::home_dir())
}

fn default_for(root: bool, xdg: Option<OsString>, home: Option<PathBuf>) -> PathBuf {
    if root {
        return "/var/lib/plimsoll".into();
    }
    // The XDG base directory specification has relative paths ignored.
    let data = xdg.map(PathBuf::from).filter(|path| path.is_absolute());
    data.or_else(|| home.map(|home| home.join(".local/share"))).unwrap_or_default().join("plimsoll")
}

/// Makes the data directory if it is missing.
pub(super) fn prepare(path: &Path) -> Result<PathBuf, EmbeddedError> {
    if path.exists() && !path.is_dir() {
        return Err(EmbeddedError::NotADirectory { path: path.into() });
    }
    // The user that root drops to has to pass through; nobody has to look around.
    let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(EmbeddedError::files("create", path))?;
    path.canonicalize().map_err(EmbeddedError::files("reach", path))
}

/// Refuses a data directory that others could change.
pub(super) fn check(path: &Path, identity: &Identity) -> Result<(), EmbeddedError> {
    let found = fs::metadata(path).map_err(EmbeddedError::files("read", path))?;
    match exposure(identity.uid, found.uid(), found.mode()) {
        None => Ok(()),
        Some(why) => Err(EmbeddedError::Exposed { path: path.into(), why }),
    }
}

fn exposure(user: u32, owner: u32, mode: u32) -> Option<String> {
    if mode & 0o002 != 0 {
        return Some("everybody may write to it".into());
    }
    (owner != user && owner != 0)
        .then(|| format!("it belongs to uid {owner}, and PostgreSQL would run as uid {user}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_place_by_default() {
        let home = Some(PathBuf::from("/home/bob"));
        assert_eq!(default_for(true, Some("/x".into()), home.clone()), Path::new("/var/lib/plimsoll"));
        assert_eq!(default_for(false, Some("/x".into()), home.clone()), Path::new("/x/plimsoll"));
        assert_eq!(
            default_for(false, Some("x".into()), home.clone()),
            Path::new("/home/bob/.local/share/plimsoll")
        );
        assert_eq!(default_for(false, None, home), Path::new("/home/bob/.local/share/plimsoll"));
    }

    #[test]
    fn a_directory_that_others_can_change_is_refused() {
        assert!(exposure(1000, 1000, 0o40_777).is_some());
        assert!(
            exposure(0, 0, 0o41_777).is_some(),
            "a sticky directory such as /tmp is no place of ours either"
        );
        assert!(exposure(1000, 1001, 0o40_755).is_some());
        assert!(exposure(1000, 1000, 0o40_700).is_none());
        assert!(exposure(101, 0, 0o40_711).is_none());
    }

    #[test]
    fn a_file_is_no_data_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = prepare(file.path()).unwrap_err();
        assert!(matches!(error, EmbeddedError::NotADirectory { .. }), "{error}");
        let error = prepare(&file.path().join("below")).unwrap_err();
        assert!(matches!(error, EmbeddedError::Files { .. }), "{error}");
    }
}
