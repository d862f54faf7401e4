//! How the database is reached: the driver's configuration, and what the driver does not know of.
//!
//! **Invariant:** the driver itself is never asked for TLS or for a kind of server: both are seen to here.

use std::ops::{Deref, DerefMut};

use tokio_postgres::config::{SslMode, SslNegotiation};

use super::standing::Standing;
use super::tls::Tls;

/// A database's address and how to speak with it. Read and change the driver's part of it directly.
#[derive(Debug, Clone, Default)]
pub struct Config {
    driver: tokio_postgres::Config,
    tls: Option<Tls>,
    standing: Standing,
    /// Whether it was said how long a host may take.
    is_timed: bool,
}

impl Config {
    /// Puts the parts together.
    pub(super) fn new(driver: tokio_postgres::Config, tls: Option<Tls>, standing: Standing) -> Self {
        let is_timed = driver.get_connect_timeout().is_some();
        Self { driver, tls, standing, is_timed }
    }

    /// The driver's part, for a stream that is secured already or not at all. The driver leaves a stream alone that it is to secure
    /// without asking the server first, but for what it is handed ([`super::tls::Handed`]).
    pub(super) fn driver(&self, is_secured: bool) -> tokio_postgres::Config {
        let mut driver = self.driver.clone();
        if is_secured {
            driver.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        } else {
            driver.ssl_mode(SslMode::Disable).ssl_negotiation(SslNegotiation::Postgres);
        }
        driver
    }

    /// How TLS is spoken, if it is.
    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The same for another kind of server.
    pub(super) fn with_standing(self, standing: Standing) -> Self {
        Self { standing, ..self }
    }

    /// What the server has to be.
    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether it was said how long a host may take.
    pub(super) fn is_timed(&self) -> bool {
        self.is_timed
    }

    /// Whether rows are read from the primary where it is one of these hosts, if only while no standby is in use.
    pub(crate) fn reads_at_primary(&self) -> bool {
        matches!(self.standing, Standing::Any | Standing::PreferStandby)
    }

    /// How many hosts are named.
    pub(super) fn hosts(&self) -> usize {
        self.get_hosts().len().max(self.get_hostaddrs().len()).max(1)
    }

    /// The same with another driver's part.
    pub(super) fn with_driver(&self, driver: tokio_postgres::Config) -> Self {
        Self { driver, ..self.clone() }
    }
}

/// A server of our own: no TLS, and one that takes writes.
impl From<tokio_postgres::Config> for Config {
    fn from(driver: tokio_postgres::Config) -> Self {
        Self::new(driver, None, Standing::Any)
    }
}

impl Deref for Config {
    type Target = tokio_postgres::Config;

    fn deref(&self) -> &Self::Target {
        &self.driver
    }
}

impl DerefMut for Config {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.driver
    }
}
