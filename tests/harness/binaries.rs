//! Where this machine's PostgreSQL programs are, and as whom they may run.
//!
//! **Invariant:** nothing is installed or changed from here.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder that holds `initdb` and `postgres`: from the path, Debian's newest, or what `make` put into the cache.
pub(crate) fn find_directory() -> PathBuf {
    let on_path =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let cached = env::home_dir().map(|home| home.join(".cache/plimsoll/postgresql/bin"));
    on_path
        .into_iter()
        .chain(debian_directories())
        .chain(cached)
        .find(|directory| directory.join("initdb").is_file() && directory.join("postgres").is_file())
        .expect("PostgreSQL's programs: install postgresql, or run `make test`, which fetches them")
}

/// `/usr/lib/postgresql/NN/bin`, the newest first.
fn debian_directories() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut versions: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions
        .into_iter()
        .map(|version| Path::new("/usr/lib/postgresql").join(format!("{version}/bin")))
        .collect()
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
