//! A place for one private PostgreSQL, and what tests do with it.
//!
//! **Invariant:** a place that goes while a process still works in it fails its test, and ends that process.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use futures_util::future::{Either, select};
use plimsoll::database::embedded::{Embedded, EmbeddedError, Options};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};

use crate::harness::PATIENCE;

/// A data directory in which a cluster was made and stopped, to be copied: making one is most of a test's time.
static TEMPLATE: Mutex<Weak<Home>> = Mutex::new(Weak::new());

/// A directory that the user PostgreSQL runs as can reach. When it goes, nothing may be running in it any more.
pub(crate) struct Home {
    outer: TempDir,
    data_dir: PathBuf,
    progress: Mutex<Vec<String>>,
    /// Kept for the others: the last of them removes it.
    template: Option<Arc<Home>>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::named("data")
    }

    /// One in which there is a cluster already.
    pub(crate) fn with_cluster() -> Self {
        let mut shared = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
        let template = shared.upgrade().unwrap_or_else(|| {
            let template = Arc::new(Self::new());
            drop(template.start());
            *shared = Arc::downgrade(&template);
            template
        });
        drop(shared);
        let mut home = Self::new();
        let copied = Command::new("cp").arg("-a").arg(&template.data_dir).arg(&home.data_dir).status();
        assert!(copied.expect("cp").success());
        home.template = Some(template);
        home
    }

    pub(crate) fn named(name: &str) -> Self {
        let outer = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(outer.path(), Permissions::from_mode(0o711)).expect("its mode");
        let data_dir = outer.path().canonicalize().expect("its real path").join(name);
        Self { outer, data_dir, progress: Mutex::default(), template: None }
    }

    pub(crate) fn outer(&self) -> &Path {
        self.outer.path()
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(crate) fn options(&self) -> Options {
        Options { data_dir: self.data_dir.clone(), pg_bin: None, tcp_port: None, max_connections: 8 }
    }

    pub(crate) fn start(&self) -> Embedded {
        self.start_with(&self.options()).expect("a private PostgreSQL")
    }

    pub(crate) fn start_with(&self, options: &Options) -> Result<Embedded, EmbeddedError> {
        self.lines().clear();
        Embedded::start(options, &mut |line| self.lines().push(line.to_owned()))
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the last start said something with these words.
    pub(crate) fn heard(&self, words: &str) -> bool {
        self.lines().iter().any(|line| line.contains(words))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let left = processes_in(&self.data_dir);
        for pid in left.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        if !thread::panicking() {
            assert!(left.is_empty(), "left running: {left:?}");
        }
    }
}

/// The processes that work below a directory: a server's do in its cluster's.
pub(crate) fn processes_in(dir: &Path) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let servers = servers_of(dir);
    let inside = |pid: &i32| match fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(cwd) => cwd.starts_with(dir),
        // A container's root may not see where another user's process works.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            servers.contains(pid) || parent_of(*pid).is_some_and(|parent| servers.contains(&parent))
        }
        Err(_) => false,
    };
    numbers.filter(inside).collect()
}

/// What the clusters in a data directory say of themselves.
fn servers_of(dir: &Path) -> Vec<i32> {
    let clusters = fs::read_dir(dir).into_iter().flatten().flatten();
    let pid_files =
        clusters.filter_map(|cluster| fs::read_to_string(cluster.path().join("postmaster.pid")).ok());
    pid_files.filter_map(|text| text.lines().next()?.parse().ok()).collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    // After the name, which may hold spaces, come the state and the parent.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Runs async code to its end, within [`PATIENCE`].
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await }).expect("an end in time")
}

/// Connects and has one conversation.
pub(crate) fn converse<T>(config: &Config, talk: impl AsyncFnOnce(&mut Client) -> T) -> T {
    run(async {
        let (mut client, connection) = config.connect(NoTls).await.expect("a connection");
        match select(pin!(talk(&mut client)), pin!(connection)).await {
            Either::Left((said, _)) => said,
            Either::Right((_, talk)) => talk.await,
        }
    })
}

/// The answer to a query of one text.
pub(crate) fn ask(config: &Config, query: &str) -> String {
    converse(config, async |client| {
        let row = client.query_one(query, &[]).await.expect("an answer");
        row.get::<_, String>(0)
    })
}
