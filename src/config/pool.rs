//! Settings of `plimsoll pool`: what is changed in a running service.
//!
//! **Invariant:** a change goes by the service's Unix socket, whose owner alone may send one.

use std::path::PathBuf;

use super::admin::{Or, ReaderArgs, parse_path};
use super::database::parse_pool_per_core;
use super::listen::DEFAULT_PORT;

/// Settings of `plimsoll pool`.
#[derive(Debug, Clone, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct PoolArgs {
    /// What to do.
    #[command(subcommand)]
    pub change: Change,
}

/// What can be changed.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Change {
    /// Give the pools another size; what runs goes on, and the next reload or start takes the settings' size again
    Resize(ResizeArgs),
    /// Hold requests for the database back, so that they wait until `resume` or their deadline
    Pause(SocketArgs),
    /// Let requests for the database go on
    Resume(SocketArgs),
}

/// Settings of `plimsoll pool resize`.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("size").required(true).args(["per_core", "total"]))]
pub struct ResizeArgs {
    /// Database connections for each core, as --pool-per-core
    #[arg(value_name = "PER_CORE", value_parser = parse_pool_per_core)]
    pub per_core: Option<f64>,
    /// Database connections over all workers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub total: Option<u32>,
    /// Where it is asked.
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// Which service is changed.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Which service")]
pub struct SocketArgs {
    /// Change it by this Unix socket [env: `PLIMSOLL_ADMIN_SOCKET`] [default: in the runtime directory, named by --port]
    #[arg(long, value_name = "PATH", value_parser = parse_path)]
    pub admin_socket: Option<Or<PathBuf>>,
    /// The port that the service serves on; names its socket.
    #[arg(long, env = "PORT", default_value_t = DEFAULT_PORT)]
    pub port: u16,
}

impl SocketArgs {
    /// The same for whoever asks.
    pub fn reader(&self) -> ReaderArgs {
        ReaderArgs { admin: None, admin_socket: self.admin_socket.clone(), port: self.port }
    }
}
