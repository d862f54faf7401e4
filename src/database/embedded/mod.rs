//! A private PostgreSQL: found, made, started, watched and stopped by the service that uses it.
//!
//! **Invariant:** nothing outside the data directory is written but a socket's directory, and that only where the data
//! directory's path is too long for a socket; and while an [`Embedded`] lives, nobody else uses its data directory.
//!
//! In the order of a start: [`place`] (the data directory), [`binaries`], [`identity`] (which user), all of it settled in
//! [`site`]; then [`lock`], [`cluster`] (initdb), [`postmaster`] (take over or start, by [`pidfile`] and [`census`]), and
//! [`session`] (role, database, tables); then [`disk`], while it runs. All of it blocks: a service calls it by `spawn_blocking`.

mod binaries;
mod census;
mod cluster;
mod configuration;
mod disk;
mod error;
mod folder;
mod identity;
mod install;
mod lock;
mod log;
mod pidfile;
mod place;
mod postmaster;
mod process;
mod program;
mod session;
mod settings;
mod site;
mod socket;

use std::path::{Path, PathBuf};

pub use disk::Disk;
pub use error::EmbeddedError;
pub use place::default_data_dir;

use super::config::Config;
use lock::Lock;
use postmaster::Postmaster;
use site::Site;

/// What a private PostgreSQL is asked to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything of it lies; see [`default_data_dir`].
    pub data_dir: PathBuf,
    /// The directory of PostgreSQL's programs; looked for when not given.
    pub pg_bin: Option<PathBuf>,
    /// The port on 127.0.0.1 at which it listens beside its socket, where `benchmarkdbuser` is asked for its password.
    pub tcp_port: Option<u16>,
    /// How many connections the service will open; the server allows for more.
    pub max_connections: u32,
}

/// A private PostgreSQL that runs. Dropping it stops it, as [`Embedded::stop`] does, and says nothing of a failure.
#[derive(Debug)]
pub struct Embedded {
    site: Site,
    /// None once it has been stopped.
    postmaster: Option<Postmaster>,
    server_version: String,
    /// Whether the server was told to refuse writes.
    is_full: bool,
    _lock: Lock,
}

impl Embedded {
    /// Makes the cluster if there is none, takes over the server if one was left running, else starts it, and sees to it
    /// that role, database, tables and rows are there. `progress` gets a line for whatever takes longer than a second.
    ///
    /// # Panics
    /// When called on a thread that runs async tasks: use `spawn_blocking`.
    ///
    /// # Errors
    /// Whatever stands in the way, with the way out; a server that was started is then stopped again.
    pub fn start(options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Self, EmbeddedError> {
        let site = Site::settle(options)?;
        let lock = Lock::take(&site.data_dir, &site.identity)?;
        cluster::ensure(&site, progress)?;
        let postmaster = postmaster::bring_up(&site, progress)?;
        let is_full = disk::is_refusing(&site);
        // From here on, an early return drops this and so stops the server.
        let mut embedded =
            Self { site, postmaster: Some(postmaster), server_version: String::new(), is_full, _lock: lock };
        embedded.server_version = session::set_up(&embedded.site)?;
        session::load_schema(&embedded.site)?;
        Ok(embedded)
    }

    /// How the service connects: by the Unix socket, as `benchmarkdbuser`, to `hello_world`.
    pub fn config(&self) -> Config {
        session::config(&self.site).into()
    }

    /// The same over TCP; none where it does not listen there.
    pub fn tcp_config(&self) -> Option<Config> {
        self.site.tcp.then(|| session::tcp_config(&self.site).into())
    }

    /// The server's version, such as `15.18`.
    pub fn server_version(&self) -> &str {
        &self.server_version
    }

    /// The cluster's directory, `pgNN` in the data directory.
    pub fn cluster_dir(&self) -> &Path {
        &self.site.cluster
    }

    /// The directory of the Unix socket.
    pub fn socket_dir(&self) -> &Path {
        &self.site.socket.path
    }

    /// The server's log.
    pub fn log(&self) -> &Path {
        &self.site.log
    }

    /// The process id of the server; none once it was stopped.
    pub fn pid(&self) -> Option<i32> {
        self.postmaster.as_ref().map(|postmaster| postmaster.process.number())
    }

    /// Whether the server ran already, left behind by a service that crashed.
    pub fn adopted(&self) -> bool {
        self.postmaster.as_ref().is_some_and(|postmaster| postmaster.adopted)
    }

    /// Resolves when the server has ended; at once if it was stopped. Needs a tokio runtime with I/O and time.
    pub async fn died(&self) {
        if let Some(postmaster) = &self.postmaster {
            postmaster.process.gone().await;
        }
    }

    /// Starts the server again after it died: recovers the cluster, ending what is left of the old server.
    ///
    /// # Errors
    /// As [`Embedded::start`]; the service may try again later.
    pub fn restart(&mut self) -> Result<(), EmbeddedError> {
        let mut progress = |line: &str| tracing::info!("{line}");
        self.postmaster = Some(postmaster::bring_up(&self.site, &mut progress)?);
        self.is_full = disk::is_refusing(&self.site);
        Ok(())
    }

    /// Looks how much of the cluster's disk is free, and has the server refuse writes while that is too little; says what changed.
    ///
    /// # Errors
    /// When the disk cannot be looked at, or the server not be told.
    pub fn mind_disk(&mut self) -> Result<Option<Disk>, EmbeddedError> {
        let Some(postmaster) = &self.postmaster else { return Ok(None) };
        let change = disk::look(&self.site, postmaster, self.is_full)?;
        if let Some(disk) = change {
            self.is_full = disk.is_full;
        }
        Ok(change)
    }

    /// Stops the server: a fast shutdown, after 5 s one without a checkpoint, after 3 more a kill. May be called again.
    ///
    /// # Errors
    /// When not even a kill ends it.
    pub fn stop(&mut self) -> Result<(), EmbeddedError> {
        let Some(postmaster) = &self.postmaster else { return Ok(()) };
        let mut progress = |line: &str| tracing::info!("{line}");
        postmaster::stop(&self.site, &postmaster.process, &mut progress)?;
        self.postmaster = None;
        self.site.socket.clear(self.site.port);
        self.site.socket.remove();
        Ok(())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!("{error}");
        }
    }
}
