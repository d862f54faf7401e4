//! What can go wrong with the private PostgreSQL, each with the way out.
//!
//! **Invariant:** a message names the file, the process or the program it is about, and ends with what the reader
//! can do. Nothing here is logged where it is made: the caller reports it once.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::database::schema::SchemaError;

/// Why the private PostgreSQL could not be found, made, started, reached or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The data directory is a file, a socket or the like.
    #[error("{path} is not a directory; give another --data-dir")]
    NotADirectory {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The file system refused something below the data directory.
    #[error("cannot {doing} {path}: {source}; {}", way_out(source))]
    Files {
        /// What was tried, as an infinitive: `create`, `write`.
        doing: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// Others could change what lies in the directory.
    #[error("will not use {path}: {why}; give another --data-dir, or set its owner and mode right")]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Who could.
        why: String,
    },
    /// Root drops to another user, who has no way to the path.
    #[error(
        "PostgreSQL does not run as root, and the user {user} it runs as cannot pass {blocked} on the way to {path}; \
         give a place that {user} can reach (for data: --data-dir, for binaries: --pg-bin), or start as another user"
    )]
    Blocked {
        /// Where PostgreSQL has to get to.
        path: PathBuf,
        /// The first directory on the way that refuses.
        blocked: PathBuf,
        /// The user PostgreSQL would run as.
        user: String,
    },
    /// Started by root, and there is neither a `postgres` nor a `nobody`.
    #[error(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as; start as another user"
    )]
    NoUser,
    /// No PostgreSQL on this system.
    #[error(
        "no PostgreSQL found on the PATH or in the usual places; install it with `{install}`, name the directory of \
         its programs with --pg-bin, or give a database of your own with DATABASE_URL"
    )]
    NoBinaries {
        /// The command that installs it here.
        install: String,
    },
    /// `--pg-bin` names a directory that does not hold what is needed.
    #[error(
        "--pg-bin {dir} holds no {missing}; name the directory where initdb, pg_ctl and postgres lie (`pg_config --bindir`)"
    )]
    BinariesIncomplete {
        /// The directory.
        dir: PathBuf,
        /// The first program that is missing.
        missing: &'static str,
    },
    /// PostgreSQL is here, and too old or too new.
    #[error(
        "PostgreSQL 13 to 18 is supported, found {found}; install one of these with `{install}`, name it with \
         --pg-bin, or give a database of your own with DATABASE_URL"
    )]
    UnsupportedVersion {
        /// What was found, and where.
        found: String,
        /// The command that installs a supported one here.
        install: String,
    },
    /// The cluster that is there was made by a PostgreSQL that is not.
    #[error(
        "the cluster {cluster} needs PostgreSQL {major}, which was not found; install it with `{install}`, name it \
         with --pg-bin, or give another --data-dir (the cluster holds nothing but benchmark rows)"
    )]
    NoBinariesForCluster {
        /// The cluster's directory.
        cluster: PathBuf,
        /// The major version it needs.
        major: u32,
        /// The command that installs it here.
        install: String,
    },
    /// A directory stands where the cluster should, and is none.
    #[error("{path} is there and is no PostgreSQL {major} cluster; move it away, or give another --data-dir")]
    NotACluster {
        /// The directory.
        path: PathBuf,
        /// The major version expected in it.
        major: u32,
    },
    /// The cluster belongs to somebody else, and PostgreSQL insists on its owner.
    #[error(
        "the cluster {path} belongs to uid {owner}, and only that user may run it; start as that user, or give another --data-dir"
    )]
    ForeignOwner {
        /// The cluster's directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Another plimsoll holds the data directory.
    #[error("{data_dir} is in use by plimsoll{}; stop it, or give another --data-dir", .pid.map(|pid| format!(" pid {pid}")).unwrap_or_default())]
    InUse {
        /// The directory.
        data_dir: PathBuf,
        /// Who holds it, where that could be read.
        pid: Option<u32>,
    },
    /// The directory for the socket is not safely ours.
    #[error("will not put the PostgreSQL socket into {path}: {why}; remove it, or give a shorter --data-dir")]
    SocketDir {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A program of PostgreSQL ended badly.
    #[error("{program} failed: {detail}{}", hint(detail))]
    Program {
        /// Which program.
        program: String,
        /// Its last words.
        detail: String,
    },
    /// The server did not come up.
    #[error("PostgreSQL did not start; the end of {log}:\n{tail}{}", hint(tail))]
    Start {
        /// The server's log.
        log: PathBuf,
        /// What this start wrote at its end.
        tail: String,
    },
    /// The port asked for with `--private-pg-tcp` is taken or forbidden.
    #[error(
        "the private PostgreSQL cannot listen on 127.0.0.1:{port}: {source}; give another --private-pg-tcp"
    )]
    TcpPort {
        /// The port.
        port: u16,
        /// Why not.
        source: io::Error,
    },
    /// A deadline passed.
    #[error("{what} took longer than {} s and was ended; the log is {log}", after.as_secs())]
    TimedOut {
        /// What took so long.
        what: &'static str,
        /// Its deadline.
        after: Duration,
        /// Where to read on.
        log: PathBuf,
    },
    /// A process may be serving the cluster, and this cannot be told for certain.
    #[error(
        "{file} names process {pid}, which may be a PostgreSQL that serves this cluster; stop it (`kill -INT {pid}`), \
         or remove that file if it is another program"
    )]
    Unclear {
        /// The process.
        pid: i32,
        /// The lock file that names it.
        file: PathBuf,
    },
    /// Somebody works on the cluster in single-user mode.
    #[error("a single-user PostgreSQL with pid {pid} is at work on {cluster}; end it first")]
    SingleUser {
        /// The process.
        pid: i32,
        /// The cluster's directory.
        cluster: PathBuf,
    },
    /// Not even SIGKILL ended it, as happens while its disk hangs.
    #[error(
        "the PostgreSQL process {pid} does not end, not even by SIGKILL; look at its disk (`cat /proc/{pid}/wchan`)"
    )]
    NotEnding {
        /// The process.
        pid: i32,
    },
    /// The server is up and does not do what it is asked.
    #[error("the private PostgreSQL is up, but {doing} failed: {detail}{}", hint(detail))]
    Session {
        /// What was asked of it.
        doing: &'static str,
        /// Its answer.
        detail: String,
    },
    /// The tables could not be loaded.
    #[error("the tables of the private PostgreSQL could not be loaded: {0}")]
    Schema(#[from] SchemaError),
}

impl EmbeddedError {
    pub(super) fn files(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Files { doing, path, source }
    }
}

fn way_out(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space there, or give another --data-dir"
        }
        io::ErrorKind::PermissionDenied => "give a --data-dir that you may write to, or change its mode",
        io::ErrorKind::ReadOnlyFilesystem => "give a --data-dir on a file system that can be written to",
        _ => "give another --data-dir if that cannot be mended",
    }
}

/// PostgreSQL's own words, put into what to do about them; empty where they say enough.
fn hint(words: &str) -> &'static str {
    let known = [
        ("No space left on device", "\nfree some space there, or give another --data-dir"),
        ("wrote only", "\nfree some space there, or give another --data-dir"),
        (
            "could not look up effective user ID",
            "\nPostgreSQL wants its user to have a name: add one to the password database, or give a database of your \
             own with DATABASE_URL",
        ),
        ("Disk quota exceeded", "\nfree some space there, or give another --data-dir"),
        ("Address already in use", "\ngive another --private-pg-tcp"),
        (
            "Cannot allocate memory",
            "\nthere is too little memory: end something else, or use fewer database connections",
        ),
        (
            "shared memory segment",
            "\nthe kernel gives too little shared memory: use fewer database connections",
        ),
        ("Permission denied", "\nthe user PostgreSQL runs as may not go there: give another --data-dir"),
    ];
    known.iter().find(|(needle, _)| words.contains(needle)).map_or("", |(_, way)| way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_comes_with_a_way_out() {
        let error = EmbeddedError::Program {
            program: "initdb".into(),
            detail: "could not extend file: No space left on device".into(),
        };
        assert!(error.to_string().ends_with("give another --data-dir"), "{error}");
    }

    #[test]
    fn a_second_user_is_told_who_the_first_is() {
        let error = EmbeddedError::InUse { data_dir: "/d".into(), pid: Some(7) };
        assert_eq!(error.to_string(), "/d is in use by plimsoll pid 7; stop it, or give another --data-dir");
    }
}
