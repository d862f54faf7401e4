//! Where the service listens.
//!
//! **Invariant:** `--listen` replaces host and port; the three never mix.

use std::net::{IpAddr, SocketAddr};

/// The port that serves when nobody says otherwise; the TechEmpower entry names it too.
pub const DEFAULT_PORT: u16 = 8080;

/// The section of settings on listening.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Listening")]
pub struct ListenArgs {
    /// The address to listen on; 0.0.0.0 for all of this machine's.
    #[arg(long, value_name = "ADDR", env = "HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The port to listen on; 0 takes a free one, which the banner names.
    #[arg(long, env = "PORT", default_value_t = DEFAULT_PORT)]
    pub port: u16,
    /// Listen here instead of on host and port; may be repeated. Sockets that systemd passes (`LISTEN_FDS`) are used instead of all three.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Vec<SocketAddr>,
}

impl ListenArgs {
    /// Every address to listen on, in the order given.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        if self.listen.is_empty() { vec![SocketAddr::new(self.host, self.port)] } else { self.listen.clone() }
    }
}
