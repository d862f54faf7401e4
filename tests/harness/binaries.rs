//! Where this machine's PostgreSQL programs are, and as whom they may run.
//!
//! **Invariant:** nothing is installed or changed from here.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder that holds `initdb` and `postgres`. The script looks where the service looks, and `make test` has run it.
pub(crate) fn find_directory() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/find-postgresql");
    let found = Command::new(script).output().expect("scripts/find-postgresql runs");
    assert!(found.status.success(), "no PostgreSQL: install it, or run `make test`, which fetches it");
    PathBuf::from(String::from_utf8(found.stdout).expect("a path").trim_end())
}

/// Who may own a cluster when root runs the tests: PostgreSQL refuses root.
pub(crate) fn unprivileged_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").expect("the list of accounts");
    let ids = |name: &str| {
        let mut fields =
            accounts.lines().find(|line| line.starts_with(&format!("{name}:")))?.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).expect("an account `postgres` or `nobody`"))
}

/// A command that runs as somebody PostgreSQL accepts.
pub(crate) fn command_for_postgres(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    if let Some((uid, gid)) = unprivileged_user() {
        command.uid(uid).gid(gid);
    }
    // The tests' own folder may be closed to that user.
    command.current_dir("/").env("LC_ALL", "C");
    command
}
