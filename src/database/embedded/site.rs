//! Everything about one private PostgreSQL that is settled before it is started.
//!
//! **Invariant:** settling reads, and makes the data directory at most; nothing in it is changed before the lock is held.

use std::path::{PathBuf, absolute};

use super::Options;
use super::binaries::{self, Binaries};
use super::error::EmbeddedError;
use super::identity::Identity;
use super::socket::{SocketDir, fingerprint};
use super::{cluster, place};

/// The port that names the socket where no TCP port was asked for.
const SOCKET_PORT: u16 = 5432;

/// Where one private PostgreSQL lies, what runs it, as whom.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) data_dir: PathBuf,
    pub(super) cluster: PathBuf,
    pub(super) log: PathBuf,
    pub(super) binaries: Binaries,
    pub(super) identity: Identity,
    pub(super) socket: SocketDir,
    pub(super) port: u16,
    pub(super) tcp: bool,
    pub(super) max_connections: u32,
    /// The server's `cluster_name`: on the command line of the server and in the titles of its children.
    pub(super) mark: String,
}

impl Site {
    pub(super) fn settle(options: &Options) -> Result<Self, EmbeddedError> {
        // A directory that would be of no use is not even made.
        let wanted = absolute(&options.data_dir).map_err(EmbeddedError::files("reach", &options.data_dir))?;
        if !wanted.exists() {
            Identity::choose(&wanted)?.check_way_to(&wanted)?;
        }
        let data_dir = place::prepare(&wanted)?;
        let binaries = binaries::find(options.pg_bin.as_deref(), &cluster::majors_in(&data_dir), &data_dir)?;
        let name = format!("pg{}", binaries.major);
        let cluster = data_dir.join(&name);
        let identity = Identity::choose(&cluster)?;
        place::check(&data_dir, &identity)?;
        identity.check_way_to(&data_dir)?;
        identity.check_way_to(&binaries.dir)?;
        let port = options.tcp_port.unwrap_or(SOCKET_PORT);
        Ok(Self {
            socket: SocketDir::choose(&data_dir, port, &identity),
            log: data_dir.join(format!("{name}.log")),
            mark: format!("plimsoll-{:016x}", fingerprint(&cluster)),
            tcp: options.tcp_port.is_some(),
            max_connections: options.max_connections,
            data_dir,
            cluster,
            binaries,
            identity,
            port,
        })
    }
}
