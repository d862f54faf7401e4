//! Writes our files into the cluster's directory.
//!
//! **Invariant:** of the files that PostgreSQL made, `postgresql.conf` gains one line and `pg_hba.conf` is replaced; all
//! else of ours stands in a file of our own, written at every start, so that a later release can change it.

use std::path::Path;

use super::disk;
use super::error::EmbeddedError;
use super::folder::Folder;
use super::identity::Identity;
use super::settings::{self, Settings};

/// Writes `plimsoll.conf` and `pg_hba.conf`, and sees to it that `postgresql.conf` includes the former.
pub(super) fn write(
    cluster: &Path,
    identity: &Identity,
    settings: &Settings<'_>,
) -> Result<(), EmbeddedError> {
    let folder = Folder::open(cluster, identity).map_err(EmbeddedError::files("open", cluster))?;
    let main = folder.read("postgresql.conf").map_err(EmbeddedError::files("read", cluster))?;
    let mut main = main.unwrap_or_default();
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
    disk::prepare(&folder).map_err(EmbeddedError::files("write", cluster))?;
    for (name, text) in files {
        folder.replace(name, &text).map_err(EmbeddedError::files("write", cluster.join(name)))?;
    }
    Ok(())
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
}
