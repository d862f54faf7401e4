//! A data directory for the service's private PostgreSQL, in a place that its user can reach.
//!
//! **Invariant:** no private PostgreSQL outlives its test, also where the service was killed before it could stop it:
//! a shell waits on a pipe that only this process holds, then ends what the cluster's pid file names.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// `$1` the folder.
const WATCHER: &str = r#"
read -r _
for file in "$1"/data/pg*/postmaster.pid; do
    read -r pid <"$file" && kill -QUIT "$pid" || continue
    # It is no child of this shell, and goes on writing until it is gone.
    for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" && sleep 0.2 || break; done
done 2>/dev/null
umount "$1/data" 2>/dev/null
rm -rf "$1"
"#;

/// A folder with room for a cluster; removed when dropped.
pub(crate) struct DataDirectory {
    folder: PathBuf,
    watcher: Child,
    lifeline: Option<ChildStdin>,
}

impl DataDirectory {
    pub(crate) fn create() -> Self {
        let folder =
            tempfile::Builder::new().prefix("plimsoll-test-").tempdir().expect("a temporary folder").keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))
            .expect("a folder that others may pass");
        let mut watcher = Command::new("/bin/sh")
            .args(["-c", WATCHER, "plimsoll-test-data"])
            .arg(&folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell for the data directory's watcher");
        let lifeline = watcher.stdin.take();
        Self { folder, watcher, lifeline }
    }

    /// The same on a disk of its own of so many MiB, in memory; none where this user may not mount one.
    pub(crate) fn on_small_disk(mib: u32) -> Option<Self> {
        let directory = Self::create();
        fs::create_dir(directory.path()).expect("a place for the disk");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m,mode=0711"), "tmpfs"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(directory)
    }

    /// What `--data-dir` is given: a directory that is not there yet, or a disk of its own.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The process that serves the cluster, as its pid file has it.
    pub(crate) fn postmaster(&self) -> Option<i32> {
        let clusters = fs::read_dir(self.path()).ok()?;
        let file = |cluster: fs::DirEntry| fs::read_to_string(cluster.path().join("postmaster.pid")).ok();
        let text = clusters.flatten().find_map(file)?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Whether that process is alive.
    pub(crate) fn is_alive(pid: i32) -> bool {
        let state =
            fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
        // The state follows the name, which stands in brackets; Z is a process that nobody has waited for yet.
        state.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.watcher.wait();
    }
}
